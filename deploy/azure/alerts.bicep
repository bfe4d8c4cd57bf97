// Not deployed from here, and there is no Bicep compiler here: parsed and judged by checkov, and checked by tests/unit/deploy/test_bicep.py.
// What operators are told of before anybody asks: runbook 2, steps 1 and 4.

@description('Beginning of every name.')
param prefix string
@description('Tags of every resource.')
param tags object
@description('Who is told.')
param operatorsId string
@description('The Event Hubs namespace.')
param namespaceId string
@description('The data factory.')
param factoryId string

var watched = [
  {
    name: 'event-hubs-throttles'
    what: 'Event Hubs refuses requests for want of throughput units (INC-S01).'
    scope: namespaceId
    namespace: 'Microsoft.EventHub/namespaces'
    metric: 'ThrottledRequests'
    severity: 2
  }
  {
    name: 'event-hubs-errors'
    what: 'Event Hubs answers with errors of its own (INC-S01).'
    scope: namespaceId
    namespace: 'Microsoft.EventHub/namespaces'
    metric: 'ServerErrors'
    severity: 2
  }
  {
    name: 'pipeline-failed'
    what: 'A pipeline of Data Factory failed: reconciliation of yesterday, or a historical load (INC-B01).'
    scope: factoryId
    namespace: 'Microsoft.DataFactory/factories'
    metric: 'PipelineFailedRuns'
    severity: 1
  }
]

resource alert 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for item in watched: {
    name: '${prefix}-${item.name}'
    location: 'global'
    tags: tags
    properties: {
      description: item.what
      severity: item.severity
      enabled: true
      scopes: [
        item.scope
      ]
      evaluationFrequency: 'PT1M'
      windowSize: 'PT5M'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: item.name
            metricNamespace: item.namespace
            metricName: item.metric
            operator: 'GreaterThan'
            threshold: 0
            timeAggregation: 'Total'
          }
        ]
      }
      actions: [
        {
          actionGroupId: operatorsId
        }
      ]
    }
  }
]
