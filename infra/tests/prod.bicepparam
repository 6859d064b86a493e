using '../main.bicep'

// Everything that can be chosen is chosen.
param environmentName = 'prod'
param location = 'westeurope'
param tags = { owner: 'platform' }
param redundancy = 'ZRS'
param instanceMemoryMB = 4096
param maximumInstanceCount = 120
param garbageSchedule = '0 30 2 * * 0'
param garbageGraceDays = 14
param uploaders = [{ id: '22222222-2222-2222-2222-222222222222', type: 'Group' }]
param readers = [
  { id: '33333333-3333-3333-3333-333333333333', type: 'ServicePrincipal' }
  { id: '44444444-4444-4444-4444-444444444444', type: 'ServicePrincipal' }
]
param deleteRetentionDays = 14
param workRetentionDays = 60
param uploadsCoolAfterDays = 1
param uploadsDeleteAfterDays = 45
param logRetentionDays = 90
param alertEmails = ['oncall@example.com']
param budget = { amount: 500, startDate: '2026-01-01' }
param privateNetwork = true
param networkAddressPrefix = '10.80.0.0/22'
param allowedIpRanges = ['203.0.113.0/24']
