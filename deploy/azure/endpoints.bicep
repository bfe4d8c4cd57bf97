// Not deployed from here, and there is no Bicep compiler here: parsed and judged by checkov, and checked by tests/unit/deploy/test_bicep.py.
// Private endpoints into every service, each with its name in the private DNS zone of its kind.

@description('Beginning of every name.')
param prefix string
@description('Where it is.')
param location string
@description('Tags of every resource.')
param tags object
@description('The subnet of private endpoints.')
param subnetId string
@description('The lake\'s account.')
param storageId string
@description('The Event Hubs namespace.')
param namespaceId string
@description('The key vault.')
param vaultId string
@description('The Databricks workspace.')
param databricksId string
@description('Zone of the blob interface: delta-rs.')
param blobZoneId string
@description('Zone of the file system interface: Spark, Data Factory.')
param dfsZoneId string
@description('Zone of Event Hubs.')
param eventHubsZoneId string
@description('Zone of key vaults.')
param vaultZoneId string
@description('Zone of Databricks workspaces.')
param databricksZoneId string

var ways = [
  {
    name: 'blob'
    target: storageId
    group: 'blob'
    zone: blobZoneId
  }
  {
    name: 'dfs'
    target: storageId
    group: 'dfs'
    zone: dfsZoneId
  }
  {
    name: 'event-hubs'
    target: namespaceId
    group: 'namespace'
    zone: eventHubsZoneId
  }
  {
    name: 'vault'
    target: vaultId
    group: 'vault'
    zone: vaultZoneId
  }
  {
    name: 'databricks'
    target: databricksId
    group: 'databricks_ui_api'
    zone: databricksZoneId
  }
  {
    name: 'databricks-sign-in'
    target: databricksId
    group: 'browser_authentication'
    zone: databricksZoneId
  }
]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for way in ways: {
    name: '${prefix}-endpoint-${way.name}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: subnetId
      }
      privateLinkServiceConnections: [
        {
          name: way.name
          properties: {
            privateLinkServiceId: way.target
            groupIds: [
              way.group
            ]
          }
        }
      ]
    }
  }
]

resource zone 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (way, index) in ways: {
    parent: endpoint[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: way.name
          properties: {
            privateDnsZoneId: way.zone
          }
        }
      ]
    }
  }
]
