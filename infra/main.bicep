metadata description = 'CloudShards in a resource group of its own. README.md beside this file has the picture, the roles and what to do when.'

targetScope = 'subscription'

import { ipv4Range, monthlyBudget, principal, resourceTags } from 'types.bicep'

@description('Name of the environment; all names are made of it. What azd allows: letters, digits, and `-_.()`.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of everything.')
@minLength(1)
param location string

@description('Tags of every resource.')
param tags resourceTags = {}

@description('Copies of the data: in one building (LRS), in three zones (ZRS), and in a second region as well (GRS, GZRS).')
@allowed(['GRS', 'GZRS', 'LRS', 'ZRS'])
param redundancy string = 'LRS'

@description('Memory of an instance in MB. The number of cores follows it.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Instances that each function may have at most. Flex Consumption has 512,000 MB for a region and subscription unless more is asked for.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 100

@description('When shards that no manifest names are collected: an NCRONTAB expression of six fields, in UTC.')
@minLength(11)
param garbageSchedule string = '0 0 3 * * *'

@description('Days that a shard which no manifest names is left alone by the collector.')
@minValue(2)
@maxValue(365)
param garbageGraceDays int = 7

@description('Who uploads checkpoints.')
param uploaders principal[] = []

@description('Which inference services, and whoever else, read shards.')
param readers principal[] = []

@description('Days that deleted and overwritten blobs can be brought back.')
@minValue(1)
@maxValue(365)
param deleteRetentionDays int = 7

@description('Days after which the documents of a job are deleted. More than a message lives, which is 7.')
@minValue(8)
param workRetentionDays int = 30

@description('Days after which uploads move to the cool tier. Null: never. Cool blobs are charged for 30 days at least.')
@minValue(1)
param uploadsCoolAfterDays int?

@description('Days after which uploads are deleted. Null: never. More than a message lives, which is 7.')
@minValue(8)
param uploadsDeleteAfterDays int?

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Addresses that get mail of alerts and of the budget. Empty: alerts show in the portal alone, and the budget tells the owners of the subscription.')
@maxLength(50)
param alertEmails string[] = []

@description('A budget of the resource group. Null: none.')
param budget monthlyBudget?

@description('Whether the accounts are reached by private endpoints alone. Uploaders and readers must then be in the network, or listed in allowedIpRanges.')
param privateNetwork bool = false

@description('Addresses of the virtual network as ADDRESS/BITS, /22 or larger, that no network to be peered with it has. Of no effect without privateNetwork.')
@minLength(9)
@maxLength(18)
param networkAddressPrefix string = '10.62.0.0/22'

@description('Public IPv4 addresses, and ranges of /30 or larger, that reach uploads, shards and queues from outside of the virtual network. Of no effect without privateNetwork.')
@maxLength(400)
param allowedIpRanges ipv4Range[] = []

// What the code calls them: functions/CloudShards.Sharding/StorageNames.cs.
var containers = {
  uploads: 'checkpoints'
  shards: 'shards'
  work: 'work'
  deadLetters: 'dead-letters'
}
var eventQueue = 'checkpoint-events'
var queues = [eventQueue, 'shard-batches']
var poisonQueues = map(queues, queue => '${queue}-poison')

var token = uniqueString(subscription().id, environmentName, location)

// What every kind of resource takes in its name. Where that is not the environment's own name, another may come to the same: part of the token tells them apart.
var dashed = reduce(
  ['_', '.', '(', ')'],
  toLower(environmentName),
  (name, mark) => replace(string(name), string(mark), '-')
)
var trimmed = replace(trim(replace(take(dashed, 32), '-', ' ')), ' ', '-')
var environmentLabel = trimmed == environmentName ? trimmed : '${take(trimmed, 26)}-${take(token, 5)}'

// KIND-cloudshards-ENVIRONMENT. README.md beside this file has the exceptions.
var suffix = 'cloudshards-${environmentLabel}'
var names = {
  group: 'rg-${suffix}'
  appInsights: 'appi-${suffix}'
  budget: 'budget-${suffix}'
  dataStorage: 'stdata${token}'
  functionApp: 'func-${environmentLabel}-${token}'
  hostStorage: 'sthost${token}'
  identity: 'id-${suffix}'
  packageContainer: 'app-package'
  plan: 'plan-${suffix}'
  topic: 'evgt-${suffix}'
  workspace: 'log-${suffix}'
}

// A network that is too small is refused here, and not when half of everything is there.
var networkAddresses = !privateNetwork || parseCidr(networkAddressPrefix).cidr <= 22
  ? networkAddressPrefix
  : fail('networkAddressPrefix must be /22 or larger, as in 10.62.0.0/22.')

var allTags = union(tags, { 'azd-env-name': environmentName })

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: names.group
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  scope: group
  params: {
    name: names.identity
    location: location
    tags: allTags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: {
    workspaceName: names.workspace
    appInsightsName: names.appInsights
    location: location
    tags: allTags
    retentionDays: logRetentionDays
  }
}

// Apart from the data, so that the role that the Functions host asks for reaches no checkpoint.
module hostStorage 'modules/storageAccount.bicep' = {
  scope: group
  params: {
    name: names.hostStorage
    location: location
    tags: allTags
    redundancy: redundancy
    exposure: privateNetwork ? 'closed' : 'open'
    containers: [names.packageContainer]
  }
}

module dataStorage 'modules/storageAccount.bicep' = {
  scope: group
  params: {
    name: names.dataStorage
    location: location
    tags: allTags
    redundancy: redundancy
    // Event Grid cannot deliver to private endpoints; it passes the firewall as a trusted service.
    exposure: privateNetwork ? 'trustedServices' : 'open'
    allowedIpRanges: privateNetwork ? allowedIpRanges : []
    containers: map(items(containers), container => container.value)
    queues: concat(queues, poisonQueues)
    deleteRetentionDays: deleteRetentionDays
  }
}

module lifecycle 'modules/lifecycle.bicep' = {
  scope: group
  params: {
    storageName: names.dataStorage
    uploads: containers.uploads
    work: containers.work
    deadLetters: containers.deadLetters
    workRetentionDays: workRetentionDays
    deadLetterRetentionDays: workRetentionDays
    uploadsCoolAfterDays: uploadsCoolAfterDays
    uploadsDeleteAfterDays: uploadsDeleteAfterDays
  }
  dependsOn: [dataStorage]
}

module network 'modules/network.bicep' = if (privateNetwork) {
  scope: group
  params: {
    nameSuffix: suffix
    location: location
    tags: allTags
    addressPrefix: networkAddresses
    endpoints: [
      { account: names.dataStorage, services: ['blob', 'queue'] }
      { account: names.hostStorage, services: ['blob'] }
    ]
  }
  dependsOn: [dataStorage, hostStorage]
}

module eventTopic 'modules/eventTopic.bicep' = {
  scope: group
  params: {
    name: names.topic
    location: location
    tags: allTags
    storageName: names.dataStorage
  }
  dependsOn: [dataStorage]
}

module access 'modules/access.bicep' = {
  scope: group
  params: {
    dataStorageName: names.dataStorage
    hostStorageName: names.hostStorage
    identityName: names.identity
    topicName: names.topic
    appInsightsName: names.appInsights
    uploads: containers.uploads
    shards: containers.shards
    work: containers.work
    deadLetters: containers.deadLetters
    eventQueue: eventQueue
    queues: concat(queues, poisonQueues)
    uploaders: uploaders
    readers: readers
  }
  dependsOn: [dataStorage, eventTopic, hostStorage, identity, monitoring]
}

module eventSubscription 'modules/eventSubscription.bicep' = {
  scope: group
  params: {
    topicName: names.topic
    storageName: names.dataStorage
    uploads: containers.uploads
    queue: eventQueue
    deadLetters: containers.deadLetters
  }
  // Event Grid tries out whether it may deliver.
  dependsOn: [access]
}

module functionApp 'modules/functionApp.bicep' = {
  scope: group
  params: {
    name: names.functionApp
    planName: names.plan
    location: location
    tags: allTags
    serviceName: 'sharding'
    identityName: names.identity
    hostStorageName: names.hostStorage
    packageContainer: names.packageContainer
    dataStorageName: names.dataStorage
    appInsightsName: names.appInsights
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    garbageSchedule: garbageSchedule
    garbageGraceDays: garbageGraceDays
    subnetId: network.?outputs.appSubnetId
  }
  dependsOn: [access]
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  params: {
    nameSuffix: suffix
    location: location
    tags: allTags
    workspaceName: names.workspace
    appInsightsName: names.appInsights
    storageName: names.dataStorage
    topicName: names.topic
    eventQueue: eventQueue
    poisonQueues: poisonQueues
    emails: alertEmails
  }
  dependsOn: [dataStorage, eventTopic, monitoring]
}

module monthlySpend 'modules/budget.bicep' = if (budget != null) {
  scope: group
  params: {
    name: names.budget
    budget: budget!
    emails: alertEmails
  }
}

@description('The resource group.')
output AZURE_RESOURCE_GROUP string = group.name

@description('The account that checkpoints are uploaded to and read from.')
output CLOUDSHARDS_STORAGE_ACCOUNT string = names.dataStorage

@description('The function app.')
output CLOUDSHARDS_FUNCTION_APP string = names.functionApp

@description('Where checkpoints are uploaded to.')
output CLOUDSHARDS_UPLOADS string = 'https://${names.dataStorage}.blob.${environment().suffixes.storage}/${containers.uploads}'

@description('Where services read shards.')
output CLOUDSHARDS_SHARDS string = 'https://${names.dataStorage}.blob.${environment().suffixes.storage}/${containers.shards}'
