@export()
@description('Tags by name.')
type resourceTags = {
  @description('The value of the tag.')
  *: string
}

@export()
@description('Somebody or something that is given access.')
type principal = {
  @description('Object id in Entra ID; of a managed identity, its principal id.')
  id: string

  @description('What it is. A managed identity is a ServicePrincipal.')
  type: 'Group' | 'ServicePrincipal' | 'User'
}

@export()
@description('A budget of the resource group for each calendar month.')
type monthlyBudget = {
  @description('In the currency of the subscription.')
  @minValue(1)
  amount: int

  @description('First day of the month that it begins in, YYYY-MM-01: the current one at the first deployment, and the same ever after.')
  @minLength(10)
  @maxLength(10)
  startDate: string
}

@export()
@description('''Who reaches an account by network; each needs a role beside it.
open: every network. trustedServices: private endpoints, Azure's trusted services (Event Grid) and listed addresses. closed: private endpoints alone.''')
type networkExposure = 'closed' | 'open' | 'trustedServices'

@export()
@description('The private endpoints of one account.')
type privateEndpoints = {
  @description('Name of the account.')
  account: string

  @description('The services of the account that get one each.')
  services: ('blob' | 'queue')[]
}

@export()
@description('A public IPv4 address, or a range of them as ADDRESS/BITS. Storage takes no /31 or /32: list single addresses.')
@minLength(7)
@maxLength(18)
type ipv4Range = string
