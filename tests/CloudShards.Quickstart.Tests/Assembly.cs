using CloudShards.Testing;

[assembly: AssemblyFixture(typeof(AzuriteFixture))]
