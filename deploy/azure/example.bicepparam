// Not deployed from here: names are compared with main.bicep by tests/unit/deploy/test_bicep.py. Copy it, one file an environment; no secret belongs in one.
using './main.bicep'

param prefix = 'lakewarden-prod'
param location = 'westeurope'
param storageName = 'examplelakewardenprod'
param vaultName = 'example-lakewarden-prod'
param addresses = '10.40.0.0/20'
param publicAddresses = '10.40.0.0/22'
param privateAddresses = '10.40.4.0/22'
param endpointAddresses = '10.40.8.0/27'
param operatorsMail = 'operators@example.com'
param jobsPrincipal = '00000000-0000-0000-0000-000000000000'
param databricksApplication = '00000000-0000-0000-0000-000000000000'
