metadata description = 'Uploads, and nothing else that is written to the account, become messages of the queue of events.'

@description('Name of the topic.')
param topicName string

@description('Name of the account.')
param storageName string

@description('Name of the container of uploads.')
param uploads string

@description('Name of the queue that gets the events.')
param queue string

@description('Name of the container of events that could not be delivered.')
param deadLetters string

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: storageName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource subscription 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'uploads'
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    filter: {
      includedEventTypes: ['Microsoft.Storage.BlobCreated']
      subjectBeginsWith: '/blobServices/default/containers/${uploads}/blobs/'
    }
    deliveryWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: account.id
          queueName: queue
          queueMessageTimeToLiveInSeconds: 7 * 24 * 60 * 60
        }
      }
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: account.id
          blobContainerName: deadLetters
        }
      }
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 24 * 60
      maxDeliveryAttempts: 30
    }
  }
}
