metadata description = 'When the service itself moves and deletes blobs. Never in the container of shards: what is in use is known to the garbage collection alone.'

@description('Name of the account.')
param storageName string

@description('Name of the container of uploads.')
param uploads string

@description('Name of the container of the documents of jobs.')
param work string

@description('Name of the container of events that could not be delivered.')
param deadLetters string

@description('Days after which the documents of a job are deleted.')
@minValue(8)
param workRetentionDays int

@description('Days after which events that could not be delivered are deleted.')
@minValue(8)
param deadLetterRetentionDays int

@description('Days after which uploads move to the cool tier. Null: never.')
@minValue(1)
param uploadsCoolAfterDays int?

@description('Days after which uploads are deleted. Null: never.')
@minValue(8)
param uploadsDeleteAfterDays int?

var uploadActions = union(
  uploadsCoolAfterDays == null ? {} : { tierToCool: { daysAfterModificationGreaterThan: uploadsCoolAfterDays! } },
  uploadsDeleteAfterDays == null ? {} : { delete: { daysAfterModificationGreaterThan: uploadsDeleteAfterDays! } }
)

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: storageName
}

resource policy 'Microsoft.Storage/storageAccounts/managementPolicies@2025-08-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: concat(
        [
          {
            name: 'expire-work'
            type: 'Lifecycle'
            definition: {
              filters: { blobTypes: ['blockBlob'], prefixMatch: ['${work}/'] }
              actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: workRetentionDays } } }
            }
          }
          {
            name: 'expire-dead-letters'
            type: 'Lifecycle'
            definition: {
              filters: { blobTypes: ['appendBlob', 'blockBlob'], prefixMatch: ['${deadLetters}/'] }
              actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: deadLetterRetentionDays } } }
            }
          }
        ],
        empty(uploadActions)
          ? []
          : [
              {
                name: 'age-uploads'
                type: 'Lifecycle'
                definition: {
                  filters: { blobTypes: ['blockBlob'], prefixMatch: ['${uploads}/'] }
                  actions: { baseBlob: uploadActions }
                }
              }
            ]
      )
    }
  }
}
