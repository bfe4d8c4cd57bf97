// Not deployed from here, and there is no Bicep compiler here: parsed and judged by checkov, and checked by tests/unit/deploy/test_bicep.py.
// The data factory that deploy/adf is deployed into. It reaches storage and Databricks from a network of its own, by private endpoints.

@description('Beginning of every name.')
param prefix string
@description('Where it is.')
param location string
@description('Tags of every resource.')
param tags object
@description('Where logs go.')
param workspaceId string
@description('The lake\'s account.')
param storageId string
@description('The Databricks workspace.')
param databricksId string

resource factory 'Microsoft.DataFactory/factories@2018-06-01' = {
  name: '${prefix}-factory'
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    publicNetworkAccess: 'Disabled'
  }
}

resource network 'Microsoft.DataFactory/factories/managedVirtualNetworks@2018-06-01' = {
  parent: factory
  name: 'default'
  properties: {}
}

resource runtime 'Microsoft.DataFactory/factories/integrationRuntimes@2018-06-01' = {
  parent: factory
  name: 'managed'
  properties: {
    type: 'Managed'
    managedVirtualNetwork: {
      type: 'ManagedVirtualNetworkReference'
      referenceName: network.name
    }
    typeProperties: {
      computeProperties: {
        location: location
      }
    }
  }
}

// Both have to be approved at their targets. The account that historical files come from wants one too.
resource toStorage 'Microsoft.DataFactory/factories/managedVirtualNetworks/managedPrivateEndpoints@2018-06-01' = {
  parent: network
  name: 'lake'
  properties: {
    privateLinkResourceId: storageId
    groupId: 'dfs'
  }
}

resource toDatabricks 'Microsoft.DataFactory/factories/managedVirtualNetworks/managedPrivateEndpoints@2018-06-01' = {
  parent: network
  name: 'databricks'
  properties: {
    privateLinkResourceId: databricksId
    groupId: 'databricks_ui_api'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: factory
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output factoryId string = factory.id
output factoryName string = factory.name
output factoryPrincipal string = factory.identity.principalId
