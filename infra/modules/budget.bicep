metadata description = 'A budget of the resource group. It tells of costs, and stops nothing.'

import { monthlyBudget } from '../types.bicep'

@description('Name of the budget.')
@minLength(1)
@maxLength(63)
param name string

@description('How much, and since when.')
param budget monthlyBudget

@description('Who gets mail, beside the owners of the subscription.')
param emails string[]

resource monthly 'Microsoft.Consumption/budgets@2024-08-01' = {
  name: name
  properties: {
    category: 'Cost'
    amount: budget.amount
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: budget.startDate
    }
    notifications: {
      spent: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: emails
        contactRoles: ['Owner']
      }
      expected: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: emails
        contactRoles: ['Owner']
      }
    }
  }
}
