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

@description('Name of the queue of events.')
param eventQueue string

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

var poisonAlerts = map(poisonQueues, queue => {
  topic: queue
  displayName: 'Message in ${queue}'
  description: 'A message failed five times and was moved to ${queue}. Its job ends as Failed.'
  severity: 1
  scope: workspace.id
  windowSize: 'PT30M'
  query: 'StorageQueueLogs | where AccountName == \'${account.name}\' and OperationName == \'PutMessage\' and Uri contains \'/${queue}/messages\''
})

var otherLogAlerts = [
  {
    topic: 'failed-job'
    displayName: 'Checkpoint failed'
    description: 'A checkpoint was refused, or given up on. Its status.json says why and what to do.'
    severity: 2
    scope: appInsights.id
    windowSize: 'PT30M'
    query: 'traces | where message startswith \'Gave up on \' or message contains \' is Failed: \''
  }
  {
    topic: 'idle-app'
    displayName: 'Events wait'
    description: 'An event has been in the queue for an hour, and no execution since then took one: the app does not run, or cannot read the queue.'
    severity: 1
    scope: workspace.id
    windowSize: 'P1D'
    // What comes last, an event of an hour ago or an execution? A table that nothing was ever written to is left out.
    query: 'union isfuzzy=true (StorageQueueLogs | where AccountName == \'${account.name}\' and OperationName == \'PutMessage\' and Uri contains \'/${eventQueue}/messages\' and TimeGenerated < ago(1h)), (AppRequests | where Name == \'CheckpointUploaded\') | summarize arg_max(TimeGenerated, Type) | where Type == \'StorageQueueLogs\''
  }
  {
    topic: 'garbage'
    displayName: 'Garbage is not collected'
    description: 'The collection of shards that no manifest names failed. Nothing is lost, and what is garbage is kept and paid for.'
    severity: 3
    scope: workspace.id
    windowSize: 'PT30M'
    query: 'AppRequests | where Name == \'CollectGarbage\' and Success == false'
  }
]

// Logs arrive minutes late: each rule looks back at least twice as far as it runs apart, and is silent while its alert is open.
resource logAlert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for alert in concat(poisonAlerts, otherLogAlerts): {
    name: 'alert-${alert.topic}-${nameSuffix}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: alert.displayName
      description: alert.description
      severity: alert.severity
      enabled: true
      scopes: [alert.scope]
      evaluationFrequency: 'PT15M'
      windowSize: alert.windowSize
      autoMitigate: true
      // A table exists only once something was logged.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: alert.query
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

var metricAlerts = [
  {
    topic: 'dead-letter'
    description: 'Event Grid could not deliver the event of an upload, which is therefore not sharded. The event is among the dead letters.'
    severity: 1
    scope: topic.id
    windowSize: 'PT5M'
    metric: 'DeadLetteredCount'
    threshold: 0
    dimensions: []
  }
  {
    topic: 'dropped-event'
    description: 'Event Grid could neither deliver the event of an upload nor leave it among the dead letters: it is lost, and the upload is not sharded.'
    severity: 0
    scope: topic.id
    windowSize: 'PT5M'
    metric: 'DroppedEventCount'
    threshold: 0
    dimensions: []
  }
  {
    // Dead letters are in the account of the queue, and are written by the identity that delivers: what ails one ails both, and an event is dropped hours later.
    topic: 'failed-delivery'
    description: 'Event Grid failed to deliver the event of an upload. It may try again; where it may not write to the account, it neither tries again nor leaves a dead letter.'
    severity: 2
    scope: topic.id
    windowSize: 'PT15M'
    metric: 'DeliveryAttemptFailCount'
    threshold: 0
    dimensions: []
  }
  {
    topic: 'throttling'
    description: 'The account refuses requests since there are too many. Clients try again, and everything becomes slower.'
    severity: 3
    scope: account.id
    windowSize: 'PT15M'
    metric: 'Transactions'
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
  }
]

// One each, for the criteria of an alert must all be met.
resource metricAlert 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for alert in metricAlerts: {
    name: 'alert-${alert.topic}-${nameSuffix}'
    location: 'global'
    tags: tags
    properties: {
      description: alert.description
      severity: alert.severity
      enabled: true
      scopes: [alert.scope]
      evaluationFrequency: 'PT5M'
      windowSize: alert.windowSize
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            name: alert.topic
            criterionType: 'StaticThresholdCriterion'
            metricName: alert.metric
            timeAggregation: 'Total'
            operator: 'GreaterThan'
            threshold: alert.threshold
            dimensions: alert.dimensions
            // A metric exists only once it was counted.
            skipMetricValidation: true
          }
        ]
      }
      actions: [for id in actionGroupIds: { actionGroupId: id }]
    }
  }
]
