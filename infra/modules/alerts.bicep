metadata description = 'What somebody must look at, the logs that tell of it, and who is told. infra/README.md says what to do about each.'

import { resourceTags } from '../types.bicep'

@description('What is behind the kind in the names of the alerts.')
param nameSuffix string

@description('Region.')
param location string

@description('Tags.')
param tags resourceTags

@description('Name of the Log Analytics workspace.')
param workspaceName string

@description('Name of Application Insights.')
param appInsightsName string

@description('Name of the account with uploads, shards, work and queues.')
param storageName string

@description('Name of the topic.')
param topicName string

@description('Names of the poison queues.')
param poisonQueues string[]

@description('Who gets mail. Empty: alerts show in the portal alone.')
param emails string[]

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

resource appInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: appInsightsName
}

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: storageName

  resource queueService 'queueServices' existing = {
    name: 'default'
  }
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

// A queue has no metric of its own: what arrives in a poison queue is known from the log of writes.
resource queueWrites 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account::queueService
  name: 'writes'
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        category: 'StorageWrite'
        enabled: true
      }
    ]
  }
}

resource deliveryFailures 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: topic
  name: 'delivery-failures'
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        category: 'DeliveryFailures'
        enabled: true
      }
    ]
  }
}

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(emails)) {
  name: 'ag-${nameSuffix}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'CloudShards'
    emailReceivers: [
      for (email, index) in emails: {
        name: 'mail-${index}'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

var actionGroupIds = empty(emails) ? [] : [mail.id]

// Logs arrive minutes late: each rule looks back twice as far as it runs apart, and is silent while its alert is open.
resource poisonMessage 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for queue in poisonQueues: {
    name: 'alert-${queue}-${nameSuffix}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Message in ${queue}'
      description: 'A message failed five times and was moved to ${queue}. Its job ends as Failed.'
      severity: 1
      enabled: true
      scopes: [workspace.id]
      evaluationFrequency: 'PT15M'
      windowSize: 'PT30M'
      autoMitigate: true
      // The table exists only once something was logged.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: 'StorageQueueLogs | where AccountName == \'${account.name}\' and OperationName == \'PutMessage\' and Uri contains \'/${queue}/messages\''
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
          }
        ]
      }
      actions: {
        actionGroups: actionGroupIds
      }
    }
  }
]

resource failedJob 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'alert-failed-job-${nameSuffix}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Checkpoint failed'
    description: 'A checkpoint was refused, or given up on. Its status.json says why and what to do.'
    severity: 2
    enabled: true
    scopes: [appInsights.id]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    autoMitigate: true
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: 'traces | where message startswith \'Gave up on \' or message contains \' is Failed\''
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    actions: {
      actionGroups: actionGroupIds
    }
  }
}

resource deadLetter 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'alert-dead-letter-${nameSuffix}'
  location: 'global'
  tags: tags
  properties: {
    description: 'Event Grid could not deliver the event of an upload, which is therefore not sharded.'
    severity: 1
    enabled: true
    scopes: [topic.id]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'dead-lettered'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'DeadLetteredCount'
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: 0
          // The metric exists only once it was counted.
          skipMetricValidation: true
        }
      ]
    }
    actions: [for id in actionGroupIds: { actionGroupId: id }]
  }
}

resource throttling 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'alert-throttling-${nameSuffix}'
  location: 'global'
  tags: tags
  properties: {
    description: 'The account refuses requests since there are too many. Clients try again, and everything becomes slower.'
    severity: 3
    enabled: true
    scopes: [account.id]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'throttled'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'Transactions'
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: 100
          dimensions: [
            {
              name: 'ResponseType'
              operator: 'Include'
              values: [
                'ClientAccountBandwidthThrottlingError'
                'ClientAccountRequestThrottlingError'
                'ClientThrottlingError'
                'ServerBusyError'
                'SuccessWithThrottling'
              ]
            }
          ]
          skipMetricValidation: true
        }
      ]
    }
    actions: [for id in actionGroupIds: { actionGroupId: id }]
  }
}
