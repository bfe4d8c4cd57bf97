// Not deployed from here, and there is no Bicep compiler here: parsed and judged by checkov, and checked by tests/unit/deploy/test_bicep.py.
// Everything in Azure that the bundle and the pipelines stand on, in one resource group:
//   az deployment group create --resource-group NAME --parameters staging.bicepparam

@description('Beginning of every name.')
@minLength(3)
@maxLength(16)
param prefix string
@description('Where it is; a region with a pair and zones.')
param location string = resourceGroup().location
@description('Tags of every resource.')
param tags object = {
  product: 'lakewarden'
}
@description('Name of the lake\'s storage account.')
param storageName string
@description('Name of the key vault.')
param vaultName string
@description('Addresses of the whole network.')
param addresses string
@description('A part of them, a /22 or larger: hosts of clusters.')
param publicAddresses string
@description('Another part, as large: containers of clusters.')
param privateAddresses string
@description('Another part, a /27 or larger: private endpoints.')
param endpointAddresses string
@description('A mailbox of the operators.')
param operatorsMail string
@description('Object id of the service principal that the product signs in with.')
param jobsPrincipal string
@description('Object id, in this tenant, of the application AzureDatabricks: az ad sp show --id 2ff814a6-3304-4ab8-85cb-cd0e6f879c1d.')
param databricksApplication string
@description('Days that logs can be queried.')
param logDays int = 365

module network 'network.bicep' = {
  name: 'network'
  params: {
    prefix: prefix
    location: location
    tags: tags
    addresses: addresses
    publicAddresses: publicAddresses
    privateAddresses: privateAddresses
    endpointAddresses: endpointAddresses
  }
}

module dns 'dns.bicep' = {
  name: 'dns'
  params: {
    tags: tags
    networkId: network.outputs.networkId
  }
}

module monitoring 'monitoring.bicep' = {
  name: 'monitoring'
  params: {
    prefix: prefix
    location: location
    tags: tags
    logDays: logDays
    operatorsMail: operatorsMail
  }
}

module storage 'storage.bicep' = {
  name: 'storage'
  params: {
    name: storageName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module eventHubs 'eventhubs.bicep' = {
  name: 'event-hubs'
  params: {
    prefix: prefix
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'keyvault.bicep' = {
  name: 'key-vault'
  params: {
    name: vaultName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module databricks 'databricks.bicep' = {
  name: 'databricks'
  params: {
    prefix: prefix
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    networkId: network.outputs.networkId
    publicSubnet: network.outputs.publicSubnet
    privateSubnet: network.outputs.privateSubnet
  }
}

module factory 'datafactory.bicep' = {
  name: 'data-factory'
  params: {
    prefix: prefix
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    storageId: storage.outputs.accountId
    databricksId: databricks.outputs.workspaceId
  }
}

module roles 'roles.bicep' = {
  name: 'roles'
  params: {
    storageAccount: storage.outputs.accountName
    eventHubsNamespace: eventHubs.outputs.namespaceName
    topic: eventHubs.outputs.topicName
    keyVault: vault.outputs.vaultName
    databricks: databricks.outputs.workspaceName
    jobsPrincipal: jobsPrincipal
    connectorPrincipal: databricks.outputs.connectorPrincipal
    factoryPrincipal: factory.outputs.factoryPrincipal
    databricksApplication: databricksApplication
  }
}

module alerts 'alerts.bicep' = {
  name: 'alerts'
  params: {
    prefix: prefix
    tags: tags
    operatorsId: monitoring.outputs.operatorsId
    namespaceId: eventHubs.outputs.namespaceId
    factoryId: factory.outputs.factoryId
  }
}

module endpoints 'endpoints.bicep' = {
  name: 'endpoints'
  params: {
    prefix: prefix
    location: location
    tags: tags
    subnetId: network.outputs.endpointSubnetId
    storageId: storage.outputs.accountId
    namespaceId: eventHubs.outputs.namespaceId
    vaultId: vault.outputs.vaultId
    databricksId: databricks.outputs.workspaceId
    blobZoneId: dns.outputs.blobZoneId
    dfsZoneId: dns.outputs.dfsZoneId
    eventHubsZoneId: dns.outputs.eventHubsZoneId
    vaultZoneId: dns.outputs.vaultZoneId
    databricksZoneId: dns.outputs.databricksZoneId
  }
}

output storageAccount string = storage.outputs.accountName
output eventHubsNamespace string = eventHubs.outputs.namespaceName
output keyVault string = vault.outputs.vaultName
output keyVaultId string = vault.outputs.vaultId
output workspaceUrl string = databricks.outputs.workspaceUrl
output workspaceId string = databricks.outputs.workspaceId
output connectorId string = databricks.outputs.connectorId
output factoryName string = factory.outputs.factoryName
