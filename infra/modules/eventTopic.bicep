metadata description = 'The events of the account of data. The topic has an identity of its own: through a firewall Event Grid delivers with no other.'

import { resourceTags } from '../types.bicep'

@description('Name of the topic.')
@minLength(3)
@maxLength(50)
param name string

@description('Region, which must be that of the account.')
param location string

@description('Tags.')
param tags resourceTags

@description('Name of the account whose events they are.')
param storageName string

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: storageName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: name
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    source: account.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}
