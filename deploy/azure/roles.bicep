// Not deployed from here, and there is no Bicep compiler here: parsed and judged by checkov, and checked by tests/unit/deploy/test_bicep.py.
// Who may do what in Azure: identities of machines only. People get their roles by groups, in Entra and in Unity Catalog (deploy/databricks).

@description('The lake\'s account.')
param storageAccount string
@description('The Event Hubs namespace.')
param eventHubsNamespace string
@description('The topic in it.')
param topic string
@description('The key vault.')
param keyVault string
@description('The Databricks workspace.')
param databricks string
@description('Object id of the service principal that the product signs in with (client_id of the bundle).')
param jobsPrincipal string
@description('Identity of the access connector: Unity Catalog.')
param connectorPrincipal string
@description('Identity of the data factory.')
param factoryPrincipal string
@description('Object id, in this tenant, of the application AzureDatabricks, which reads the secret scope.')
param databricksApplication string

var role = {
  blobContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  eventHubsReceiver: 'a638d3c7-ab3a-418d-83e6-5f17a39d4fde'
  vaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  contributor: 'b24988ac-6180-42a0-ab88-20f7382dd24c'
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageAccount

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource lake 'containers' existing = {
      name: 'lake'
    }

    resource landing 'containers' existing = {
      name: 'landing'
    }
  }
}

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' existing = {
  name: eventHubsNamespace

  resource hub 'eventhubs' existing = {
    name: topic
  }
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: keyVault
}

resource workspace 'Microsoft.Databricks/workspaces@2024-05-01' existing = {
  name: databricks
}

resource jobsWriteTheLake 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::blobs::lake.id, jobsPrincipal, role.blobContributor)
  scope: account::blobs::lake
  properties: {
    principalId: jobsPrincipal
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.blobContributor)
  }
}

resource jobsReadTheTopic 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(namespace::hub.id, jobsPrincipal, role.eventHubsReceiver)
  scope: namespace::hub
  properties: {
    principalId: jobsPrincipal
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.eventHubsReceiver)
  }
}

resource jobsReadTheSigningKey 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, jobsPrincipal, role.vaultSecretsUser)
  scope: vault
  properties: {
    principalId: jobsPrincipal
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.vaultSecretsUser)
  }
}

resource databricksReadsTheScope 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, databricksApplication, role.vaultSecretsUser)
  scope: vault
  properties: {
    principalId: databricksApplication
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.vaultSecretsUser)
  }
}

resource catalogReachesTheAccount 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, connectorPrincipal, role.blobContributor)
  scope: account // Unity Catalog divides it further: external locations and their grants
  properties: {
    principalId: connectorPrincipal
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.blobContributor)
  }
}

resource factoryLandsFiles 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::blobs::landing.id, factoryPrincipal, role.blobContributor)
  scope: account::blobs::landing
  properties: {
    principalId: factoryPrincipal
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.blobContributor)
  }
}

resource factoryStartsJobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(workspace.id, factoryPrincipal, role.contributor)
  scope: workspace // what the linked service needs to sign in by identity; inside, it is one of the operators
  properties: {
    principalId: factoryPrincipal
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.contributor)
  }
}
