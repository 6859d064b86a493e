metadata description = 'Every role that this deployment assigns, each at the narrowest scope that serves, and each with its reason.'

import { principal } from '../types.bicep'

@description('Name of the account with uploads, shards, work and queues.')
param dataStorageName string

@description('Name of the account with the package and the state of the Functions host.')
param hostStorageName string

@description('Name of the identity of the function app.')
param identityName string

@description('Name of the topic, whose own identity delivers events.')
param topicName string

@description('Name of Application Insights.')
param appInsightsName string

@description('Name of the container of uploads.')
param uploads string

@description('Name of the container of shards.')
param shards string

@description('Name of the container of the documents of jobs.')
param work string

@description('Name of the container of events that could not be delivered.')
param deadLetters string

@description('Name of the queue of events.')
param eventQueue string

@description('Names of the queues that the function app works off, with their poison queues.')
param queues string[]

@description('Who uploads checkpoints.')
param uploaders principal[]

@description('Which inference services, and whoever else, read shards.')
param readers principal[]

var roles = {
  blobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  blobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  blobDataReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  blobDelegator: 'db58b8e5-c6ad-4a2a-8342-4190687cbf4a'
  metricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  queueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  queueDataMessageSender: 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource appInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: appInsightsName
}

resource hostStorage 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: hostStorageName
}

resource dataStorage 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: dataStorageName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource uploadsContainer 'containers' existing = {
      name: uploads
    }

    resource shardsContainer 'containers' existing = {
      name: shards
    }

    resource workContainer 'containers' existing = {
      name: work
    }

    resource deadLettersContainer 'containers' existing = {
      name: deadLetters
    }
  }

  resource queueService 'queueServices' existing = {
    name: 'default'

    resource events 'queues' existing = {
      name: eventQueue
    }

    resource workedOff 'queues' existing = [
      for queue in queues: {
        name: queue
      }
    ]
  }
}

resource appKeepsHostState 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: hostStorage
  name: guid(hostStorage.id, identity.id, roles.blobDataOwner)
  properties: {
    description: 'The Functions host keeps its package, leases and timer state here, and asks for this role.'
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataOwner)
  }
}

resource appReadsUploads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::blobs::uploadsContainer
  name: guid(dataStorage::blobs::uploadsContainer.id, identity.id, roles.blobDataReader)
  properties: {
    description: 'The worker reads ranges of uploads and lists the files of a set; it never changes one.'
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataReader)
  }
}

resource appWritesShards 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::blobs::shardsContainer
  name: guid(dataStorage::blobs::shardsContainer.id, identity.id, roles.blobDataContributor)
  properties: {
    description: 'The worker writes shards, manifests and tags; the garbage collection lists and deletes what no manifest names.'
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataContributor)
  }
}

resource appWritesWork 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::blobs::workContainer
  name: guid(dataStorage::blobs::workContainer.id, identity.id, roles.blobDataContributor)
  properties: {
    description: 'The worker keeps the plan, the receipts and the status of each job.'
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataContributor)
  }
}

resource appDelegatesCopies 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage
  name: guid(dataStorage.id, identity.id, roles.blobDelegator)
  properties: {
    description: 'The worker signs the source of copies that the service makes; a user delegation key is one of the account, and grants no more than its owner has.'
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDelegator)
  }
}

resource appWorksOffQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (queue, index) in queues: {
    scope: dataStorage::queueService::workedOff[index]
    name: guid(dataStorage::queueService::workedOff[index].id, identity.id, roles.queueDataContributor)
    properties: {
      description: 'The worker takes, renews, deletes and sends messages of this queue, and the platform scales by its length.'
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataContributor)
    }
  }
]

resource appSendsTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: appInsights
  name: guid(appInsights.id, identity.id, roles.metricsPublisher)
  properties: {
    description: 'Application Insights takes telemetry by token alone.'
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.metricsPublisher)
  }
}

resource topicSendsEvents 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::events
  name: guid(dataStorage::queueService::events.id, topic.id, roles.queueDataMessageSender)
  properties: {
    description: 'Event Grid puts the events of uploads on this queue.'
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataMessageSender)
  }
}

resource topicWritesDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::blobs::deadLettersContainer
  name: guid(dataStorage::blobs::deadLettersContainer.id, topic.id, roles.blobDataContributor)
  properties: {
    description: 'Event Grid leaves events here that it could not deliver.'
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataContributor)
  }
}

resource uploaderWritesUploads 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for uploader in uploaders: {
    scope: dataStorage::blobs::uploadsContainer
    name: guid(dataStorage::blobs::uploadsContainer.id, uploader.id, roles.blobDataContributor)
    properties: {
      description: 'Uploads checkpoints; Azure has no role that writes only.'
      principalId: uploader.id
      principalType: uploader.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataContributor)
    }
  }
]

resource readerReadsShards 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for reader in readers: {
    scope: dataStorage::blobs::shardsContainer
    name: guid(dataStorage::blobs::shardsContainer.id, reader.id, roles.blobDataReader)
    properties: {
      description: 'Opens checkpoints and reads tensors; the SDK needs no more.'
      principalId: reader.id
      principalType: reader.type
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataReader)
    }
  }
]
