metadata description = 'A virtual network from which the accounts are reached by private endpoints, and names that lead to these.'

import { privateEndpoints, resourceTags } from '../types.bicep'

@description('What is behind the kind in the names.')
param nameSuffix string

@description('Region.')
param location string

@description('Tags.')
param tags resourceTags

@description('Addresses of the network, /22 or larger; the function app and the endpoints get a /24 each.')
@minLength(9)
@maxLength(18)
param addressPrefix string

@description('The accounts, and their services that get a private endpoint.')
param endpoints privateEndpoints[]

var endpointList = flatten(map(
  endpoints,
  endpoint => map(endpoint.services, service => { account: endpoint.account, service: service })
))
var services = union(flatten(map(endpoints, endpoint => endpoint.services)), [])

resource endpointTraffic 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: 'nsg-endpoints-${nameSuffix}'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'https-from-network'
        properties: {
          access: 'Allow'
          direction: 'Inbound'
          priority: 100
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '443'
        }
      }
      {
        name: 'nothing-else'
        properties: {
          access: 'Deny'
          direction: 'Inbound'
          priority: 200
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

// Its default rules are what Flex Consumption needs: everything out, to storage, Entra ID, Azure Monitor and the app's own address, and nothing in from the internet.
resource appTraffic 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: 'nsg-app-${nameSuffix}'
  location: location
  tags: tags
  properties: {
    securityRules: []
  }
}

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: 'vnet-${nameSuffix}'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [addressPrefix]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 24, 0)
          // The worker reaches Entra ID and Azure Monitor through the internet; a NAT gateway or firewall may take over.
          defaultOutboundAccess: true
          networkSecurityGroup: {
            id: appTraffic.id
          }
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 24, 1)
          defaultOutboundAccess: false
          networkSecurityGroup: {
            id: endpointTraffic.id
          }
          privateEndpointNetworkPolicies: 'NetworkSecurityGroupEnabled'
        }
      }
    ]
  }

  resource appSubnet 'subnets' existing = {
    name: 'app'
  }

  resource endpointsSubnet 'subnets' existing = {
    name: 'endpoints'
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for service in services: {
    name: 'privatelink.${service}.${environment().suffixes.storage}'
    location: 'global'
    tags: tags
  }
]

resource zoneLinks 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (service, index) in services: {
    parent: zones[index]
    name: 'link-${nameSuffix}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
]

resource privateEndpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = [
  for endpoint in endpointList: {
    name: 'pep-${endpoint.account}-${endpoint.service}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: network::endpointsSubnet.id
      }
      privateLinkServiceConnections: [
        {
          name: endpoint.service
          properties: {
            privateLinkServiceId: resourceId('Microsoft.Storage/storageAccounts', endpoint.account)
            groupIds: [endpoint.service]
          }
        }
      ]
    }
  }
]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [
  for (endpoint, index) in endpointList: {
    parent: privateEndpoint[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: endpoint.service
          properties: {
            privateDnsZoneId: zones[indexOf(services, endpoint.service)].id
          }
        }
      ]
    }
  }
]

@description('Id of the subnet of the function app.')
output appSubnetId string = network::appSubnet.id
