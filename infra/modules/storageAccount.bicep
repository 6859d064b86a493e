metadata description = 'A storage account that knows no keys, its containers and its queues.'

import { ipv4Range, networkExposure, resourceTags } from '../types.bicep'

@description('Name of the account.')
@minLength(3)
@maxLength(24)
param name string

@description('Region.')
param location string

@description('Tags.')
param tags resourceTags

@description('Copies of the data: in one building (LRS), in three zones (ZRS), and in a second region as well (GRS, GZRS).')
@allowed(['GRS', 'GZRS', 'LRS', 'ZRS'])
param redundancy string

@description('Who reaches it by network.')
param exposure networkExposure

@description('IPv4 addresses and ranges that reach it where its exposure is trustedServices.')
param allowedIpRanges ipv4Range[] = []

@description('Names of its containers.')
param containers string[]

@description('Names of its queues.')
param queues string[] = []

@description('Days that deleted and overwritten blobs, and deleted containers, can be brought back. Null: not at all.')
@minValue(1)
@maxValue(365)
param deleteRetentionDays int?

var deleteRetention = deleteRetentionDays == null ? { enabled: false } : { enabled: true, days: deleteRetentionDays! }

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_${redundancy}'
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    isLocalUserEnabled: false
    isSftpEnabled: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: exposure == 'closed' ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: exposure == 'open' ? 'Allow' : 'Deny'
      bypass: exposure == 'closed' ? 'None' : 'AzureServices'
      ipRules: [for range in allowedIpRanges: { action: 'Allow', value: range }]
    }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      deleteRetentionPolicy: deleteRetention
      containerDeleteRetentionPolicy: deleteRetention
    }

    resource blobContainers 'containers' = [
      for container in containers: {
        name: container
        properties: {
          publicAccess: 'None'
        }
      }
    ]
  }

  resource queueService 'queueServices' = if (!empty(queues)) {
    name: 'default'

    resource messageQueues 'queues' = [
      for queue in queues: {
        name: queue
      }
    ]
  }
}
