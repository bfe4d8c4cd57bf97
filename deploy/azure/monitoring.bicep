// Not deployed from here, and there is no Bicep compiler here: parsed and judged by checkov, and checked by tests/unit/deploy/test_bicep.py.
// Where logs go, and who is told. The stream's own figures (lag, latency, pass rates) come from the product: docs/telemetry.md.

@description('Beginning of every name.')
param prefix string
@description('Where it is.')
param location string
@description('Tags of every resource.')
param tags object
@description('Days that logs can be queried; reads of scores are in them.')
@minValue(90)
@maxValue(730)
param logDays int
@description('A mailbox of the operators.')
param operatorsMail string

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${prefix}-logs'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: logDays
    features: {
      enableLogAccessUsingOnlyResourcePermissions: true
      disableLocalAuth: true
    }
  }
}

resource operators 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${prefix}-operators'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'operators'
    enabled: true
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: operatorsMail
        useCommonAlertSchema: true
      }
    ]
  }
}

output workspaceId string = logs.id
output operatorsId string = operators.id
