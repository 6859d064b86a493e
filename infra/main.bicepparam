using 'main.bicep'

// azd asks for these two. Everything else has a default in main.bicep.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')

// Whoever runs `azd up` may upload the first checkpoint. azd sets both variables.
param uploaders = map(filter([readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')], id => !empty(id)), id => {
  id: id
  type: readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', '') == 'ServicePrincipal' ? 'ServicePrincipal' : 'User'
})

// azd env set CLOUDSHARDS_READERS "<principal id of a managed identity>,<another>"
param readers = map(
  filter(map(split(readEnvironmentVariable('CLOUDSHARDS_READERS', ''), ','), id => trim(id)), id => !empty(id)),
  id => { id: id, type: 'ServicePrincipal' }
)

// azd env set CLOUDSHARDS_ALERT_EMAILS "somebody@example.com,somebody.else@example.com"
param alertEmails = filter(
  map(split(readEnvironmentVariable('CLOUDSHARDS_ALERT_EMAILS', ''), ','), email => trim(email)),
  email => !empty(email)
)
