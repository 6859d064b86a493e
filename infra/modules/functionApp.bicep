metadata description = 'The function app on a Flex Consumption plan of its own. It scales to zero, and each function scales by the length of its queue.'

import { resourceTags } from '../types.bicep'

@description('Name of the function app.')
@minLength(2)
@maxLength(60)
param name string

@description('Name of the plan.')
@minLength(1)
@maxLength(60)
param planName string

@description('Region.')
param location string

@description('Tags.')
param tags resourceTags

@description('Name of the service in azure.yaml, by which azd finds the app.')
param serviceName string

@description('Name of the identity that it works as.')
param identityName string

@description('Name of the account with the package and the state of the Functions host.')
param hostStorageName string

@description('Name of the container of the package.')
param packageContainer string

@description('Name of the account with uploads, shards, work and queues.')
param dataStorageName string

@description('Name of Application Insights.')
param appInsightsName string

@description('Memory of an instance in MB. The number of cores follows it.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int

@description('Instances that each function may have at most.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int

@description('When shards that no manifest names are collected: an NCRONTAB expression of six fields, in UTC.')
param garbageSchedule string

@description('Days that a shard which no manifest names is left alone by the collector.')
@minValue(2)
@maxValue(365)
param garbageGraceDays int

@description('Id of the subnet through which it reaches the accounts. Null: the public network.')
param subnetId string?

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource hostStorage 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: hostStorageName
}

resource dataStorage 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: dataStorageName
}

resource appInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: appInsightsName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': serviceName })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    // No function listens to HTTP. Its address is open for the deployment of packages, which asks for a token of Entra ID.
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: subnetId
    siteConfig: {
      minTlsVersion: '1.2'
    }
    functionAppConfig: {
      runtime: {
        name: 'dotnet-isolated'
        version: '10.0'
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostStorage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
      }
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: {
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
      APPLICATIONINSIGHTS_CONNECTION_STRING: appInsights.properties.ConnectionString
      AzureWebJobsStorage__blobServiceUri: hostStorage.properties.primaryEndpoints.blob
      AzureWebJobsStorage__clientId: identity.properties.clientId
      AzureWebJobsStorage__credential: 'managedidentity'
      CheckpointStorage__blobServiceUri: dataStorage.properties.primaryEndpoints.blob
      CheckpointStorage__clientId: identity.properties.clientId
      CheckpointStorage__credential: 'managedidentity'
      CheckpointStorage__queueServiceUri: dataStorage.properties.primaryEndpoints.queue
      GarbageSchedule: garbageSchedule
      // The Functions host would keep five traces a second, and of the log what belongs to them.
      OTEL_TRACES_SAMPLER: 'microsoft.fixed_percentage'
      OTEL_TRACES_SAMPLER_ARG: '1.0'
      Sharding__GarbageGrace: '${garbageGraceDays}.00:00:00'
      // A quarter of the memory: the Functions host and the worker need their own, and a message at a time is worked on.
      Sharding__MemoryBudgetBytes: string(instanceMemoryMB * 1024 * 1024 / 4)
    }
  }

  resource ftpCredentials 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }

  resource scmCredentials 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }
}
