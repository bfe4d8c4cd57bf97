// Not deployed from here, and there is no Bicep compiler here: parsed and judged by checkov, and checked by tests/unit/deploy/test_bicep.py.
// The lake's account: geo-redundant, undeletable for a while, and a container that keeps regulatory snapshots for seven years.

@description('Name of the account: 3 to 24 small letters and digits, unique in the world.')
@minLength(3)
@maxLength(24)
param name string
@description('Where it is; a region with a pair and zones.')
param location string
@description('Tags of every resource.')
param tags object
@description('Where logs go.')
param workspaceId string
@description('Days that what was deleted or overwritten can be brought back.')
@minValue(7)
@maxValue(365)
param softDeleteDays int = 14
@description('Days that a regulatory snapshot can be neither changed nor deleted: seven years, with two leap days.')
@minValue(2557)
param snapshotDays int = 2557

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_RAGZRS' // three zones here, and a copy in the paired region that can be read at any time
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    isHnsEnabled: true
    accessTier: 'Hot'
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false // nobody has a key: identities only
    defaultToOAuthAuthentication: true
    allowCrossTenantReplication: false
    publicNetworkAccess: 'Disabled'
    networkAcls: {
      defaultAction: 'Deny'
      bypass: 'AzureServices'
    }
    encryption: {
      keySource: 'Microsoft.Storage'
      requireInfrastructureEncryption: true
      services: {
        blob: {
          enabled: true
          keyType: 'Account'
        }
        file: {
          enabled: true
          keyType: 'Account'
        }
      }
    }
  }
}

// Versions of blobs don't exist with a hierarchical namespace; soft delete does. The product's own pins and undo work without either.
resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = [
  for container in ['lake', 'landing', 'logs', 'catalog']: {
    parent: blobs
    name: container
    properties: {
      publicAccess: 'None'
    }
  }
]

// For copies of regulatory snapshots, not for the table: a table's log has to be cleaned. The product itself writes none here. The policy is made
// unlocked; lock it once it was tried (az storage container immutability-policy lock), after which nobody can shorten it.
resource regulatory 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: 'regulatory'
  properties: {
    publicAccess: 'None'
  }
}

resource retention 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2024-01-01' = {
  parent: regulatory
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: snapshotDays
    allowProtectedAppendWrites: false
  }
}

resource ageing 'Microsoft.Storage/storageAccounts/managementPolicies@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'snapshots-grow-cold'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['regulatory/']
            }
            actions: {
              baseBlob: {
                tierToCool: {
                  daysAfterModificationGreaterThan: 90
                }
              }
            }
          }
        }
        {
          name: 'logs-go'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: {
              blobTypes: ['blockBlob', 'appendBlob']
              prefixMatch: ['logs/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: 400
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageRead' // who read scores
        enabled: true
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

output accountId string = account.id
output accountName string = account.name
