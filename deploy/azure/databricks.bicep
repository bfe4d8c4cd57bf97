// Not deployed from here, and there is no Bicep compiler here: parsed and judged by checkov, and checked by tests/unit/deploy/test_bicep.py.
// The workspace: clusters in our network, without public addresses; and the identity by which Unity Catalog reaches the lake.

@description('Beginning of every name.')
param prefix string
@description('Where it is.')
param location string
@description('Tags of every resource.')
param tags object
@description('Where logs go.')
param workspaceId string
@description('The network that clusters are put into.')
param networkId string
@description('Its subnet for the hosts.')
param publicSubnet string
@description('Its subnet for the containers.')
param privateSubnet string
@description('Whether the workspace is reached from outside the network: no, unless people have no other way yet.')
@allowed(['Disabled', 'Enabled'])
param publicAccess string = 'Disabled'

resource workspace 'Microsoft.Databricks/workspaces@2024-05-01' = {
  name: '${prefix}-databricks'
  location: location
  tags: tags
  sku: {
    name: 'premium' // grants, policies, audit logs
  }
  properties: {
    managedResourceGroupId: subscriptionResourceId('Microsoft.Resources/resourceGroups', '${prefix}-databricks-managed')
    publicNetworkAccess: publicAccess
    requiredNsgRules: publicAccess == 'Disabled' ? 'NoAzureDatabricksRules' : 'AllRules'
    parameters: {
      customVirtualNetworkId: {
        value: networkId
      }
      customPublicSubnetName: {
        value: publicSubnet
      }
      customPrivateSubnetName: {
        value: privateSubnet
      }
      enableNoPublicIp: {
        value: true
      }
      requireInfrastructureEncryption: {
        value: true
      }
    }
  }
}

resource connector 'Microsoft.Databricks/accessConnectors@2024-05-01' = {
  name: '${prefix}-unity-catalog'
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: workspace
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

output workspaceId string = workspace.id
output workspaceName string = workspace.name
output workspaceUrl string = 'https://${workspace.properties.workspaceUrl}'
output connectorId string = connector.id
output connectorPrincipal string = connector.identity.principalId
