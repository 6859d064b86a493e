using '../main.bicep'

// What `azd up` deploys, to somebody without any setting.
param environmentName = 'dev'
param location = 'westeurope'
param uploaders = [{ id: '11111111-1111-1111-1111-111111111111', type: 'User' }]
