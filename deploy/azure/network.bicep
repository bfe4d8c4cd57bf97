// Not deployed from here, and there is no Bicep compiler here: parsed and judged by checkov, and checked by tests/unit/deploy/test_bicep.py.
// The virtual network: two subnets that Databricks puts its clusters into, one for private endpoints, one way out, private DNS.

@description('Beginning of every name.')
param prefix string
@description('Where it is.')
param location string
@description('Tags of every resource.')
param tags object
@description('Addresses of the whole network.')
param addresses string
// Each cluster node takes an address in both of the next: a /22 has room for 1,019 nodes; the jobs of the bundle want some tens.
@description('Addresses of the hosts of clusters, a part of the network.')
param publicAddresses string
@description('Addresses of the containers of clusters, another part.')
param privateAddresses string
@description('Addresses of private endpoints, another part; a /27 is enough.')
param endpointAddresses string

resource clusterRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${prefix}-nsg-clusters'
  location: location
  tags: tags
  // Databricks adds its own rules through the delegation of the subnets. Nothing from the internet comes in: clusters have no public address.
  properties: {
    securityRules: []
  }
}

resource endpointRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${prefix}-nsg-endpoints'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'within-the-network'
        properties: {
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: endpointAddresses
          destinationPortRanges: [
            '443' // storage, key vault, Databricks
            '5671' // Event Hubs by AMQP: producers
            '9093' // Event Hubs by Kafka: the stream
          ]
        }
      }
      {
        name: 'nothing-else'
        properties: {
          priority: 4000
          direction: 'Inbound'
          access: 'Deny'
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

resource egressAddress 'Microsoft.Network/publicIPAddresses@2024-05-01' = {
  name: '${prefix}-pip-egress'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIPAllocationMethod: 'Static'
  }
}

resource egress 'Microsoft.Network/natGateways@2024-05-01' = {
  name: '${prefix}-nat'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIpAddresses: [
      {
        id: egressAddress.id
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: '${prefix}-vnet'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addresses
      ]
    }
    subnets: [
      {
        name: 'clusters-public'
        properties: {
          addressPrefix: publicAddresses
          networkSecurityGroup: {
            id: clusterRules.id
          }
          natGateway: {
            id: egress.id
          }
          delegations: [
            {
              name: 'databricks'
              properties: {
                serviceName: 'Microsoft.Databricks/workspaces'
              }
            }
          ]
        }
      }
      {
        name: 'clusters-private'
        properties: {
          addressPrefix: privateAddresses
          networkSecurityGroup: {
            id: clusterRules.id
          }
          natGateway: {
            id: egress.id
          }
          delegations: [
            {
              name: 'databricks'
              properties: {
                serviceName: 'Microsoft.Databricks/workspaces'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointAddresses
          privateEndpointNetworkPolicies: 'NetworkSecurityGroupEnabled'
          networkSecurityGroup: {
            id: endpointRules.id
          }
        }
      }
    ]
  }
}

output networkId string = network.id
output publicSubnet string = 'clusters-public'
output privateSubnet string = 'clusters-private'
output endpointSubnetId string = '${network.id}/subnets/endpoints'
