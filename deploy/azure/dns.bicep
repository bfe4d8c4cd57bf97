// Not deployed from here, and there is no Bicep compiler here: parsed and judged by checkov, and checked by tests/unit/deploy/test_bicep.py.
// Private DNS zones, one for each kind of service that is reached by a private endpoint, linked to the network.

@description('Tags of every resource.')
param tags object
@description('The network in which the names are known.')
param networkId string

var zones = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.dfs.${environment().suffixes.storage}'
  'privatelink.servicebus.windows.net'
  'privatelink.vaultcore.azure.net'
  'privatelink.azuredatabricks.net'
]

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for name in zones: {
    name: name
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (name, index) in zones: {
    parent: zone[index]
    name: 'network'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: networkId
      }
    }
  }
]

output blobZoneId string = zone[0].id
output dfsZoneId string = zone[1].id
output eventHubsZoneId string = zone[2].id
output vaultZoneId string = zone[3].id
output databricksZoneId string = zone[4].id
