// Not deployed from here, and there is no Bicep compiler here: parsed and judged by checkov, and checked by tests/unit/deploy/test_bicep.py.
// The topic that the stream reads.
//
// Sizes. Peak 1,200 events a second, about 1 KB each, is 1.2 MB a second in; one throughput unit takes 1 MB or 1,000 events a second, and gives
// 2 MB or 4,096 events. Four units are three times the peak, and let a stream that was down for an hour (4.3 million events) catch up in
// about eleven minutes beside live traffic, if the events are 1 KB; they inflate to eight by themselves.
// Sixteen partitions: their number can't be raised in this tier, only read from in parallel. At the peak each has 75 events a second, so that one account
// that does a hundred times what others do still fits into its partition, and sixteen readers can work when Spark is needed.
// Seven days of retention, the tier's most: a stream may be down for so long and lose nothing.
// Capture is off: bronze is the archive of what was received, with the offsets in its rows.

@description('Beginning of every name.')
param prefix string
@description('Where it is.')
param location string
@description('Tags of every resource.')
param tags object
@description('Where logs go.')
param workspaceId string
@description('Throughput units that are always there.')
@minValue(2)
@maxValue(40)
param units int = 4
@description('The most that they inflate to.')
param mostUnits int = 8
@description('Partitions of the topic.')
@minValue(4)
@maxValue(32)
param partitions int = 16

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: '${prefix}-events'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
    tier: 'Standard'
    capacity: units
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    isAutoInflateEnabled: true
    maximumThroughputUnits: mostUnits
    zoneRedundant: true
    kafkaEnabled: true
    disableLocalAuth: true // no connection strings: producers and the stream sign in by identity
    minimumTlsVersion: '1.2'
    publicNetworkAccess: 'Disabled'
  }
}

resource rules 'Microsoft.EventHub/namespaces/networkRuleSets@2024-01-01' = {
  parent: namespace
  name: 'default'
  properties: {
    publicNetworkAccess: 'Disabled'
    defaultAction: 'Deny'
    trustedServiceAccessEnabled: false
  }
}

resource topic 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: namespace
  name: 'transactions-stream'
  properties: {
    partitionCount: partitions
    retentionDescription: {
      cleanupPolicy: 'Delete'
      retentionTimeInHours: 168
    }
  }
}

// Offsets are kept in bronze; a group only shows lag. A second lake (another region, a trial) has its own.
resource groups 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = [
  for name in ['lakewarden', 'lakewarden-standby']: {
    parent: topic
    name: name
  }
]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: namespace
  properties: {
    workspaceId: workspaceId
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

output namespaceId string = namespace.id
output namespaceName string = namespace.name
output topicName string = topic.name
