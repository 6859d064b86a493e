namespace CloudShards.Infra.Tests.Rules;

internal static class NetworkRules
{
    public static IEnumerable<string> APrivateNetworkLeavesOnlyEventGridAndListedAddressesOutside(Prediction deployment)
    {
        var isPrivate = IsPrivate(deployment);
        return
        [
            .. deployment.Data.Expect("properties.publicNetworkAccess", "Enabled"),
            .. deployment.Data.Expect("properties.networkAcls.defaultAction", isPrivate ? "Deny" : "Allow"),
            .. deployment.Data.Expect("properties.networkAcls.bypass", "AzureServices"),
            .. deployment.Host.Expect("properties.publicNetworkAccess", isPrivate ? "Disabled" : "Enabled"),
            .. deployment.Host.Expect("properties.networkAcls.defaultAction", isPrivate ? "Deny" : "Allow"),
        ];
    }

    public static IEnumerable<string> TheWorkerReachesEveryServiceThatItUsesFromWithin(Prediction deployment)
    {
        if (!IsPrivate(deployment))
        {
            return deployment.App.Expect("properties.virtualNetworkSubnetId", null);
        }

        (string, string)[] used = [(deployment.Data.Id, "blob"), (deployment.Data.Id, "queue"), (deployment.Host.Id, "blob")];
        var network = deployment.OfType("Microsoft.Network/virtualNetworks").Single();
        var app = network.At("properties.subnets").EnumerateArray().Single(subnet => subnet.GetProperty("name").GetString() == "app");
        return
        [
            .. Rule.Compare("private endpoints", used, deployment.OfType("Microsoft.Network/privateEndpoints").Select(EndOf)),
            .. Rule.Compare(
                "private endpoints with a name",
                deployment.OfType("Microsoft.Network/privateEndpoints").Select(endpoint => endpoint.Name),
                deployment.OfType("Microsoft.Network/privateEndpoints/privateDnsZoneGroups").Select(group => group.Name.Split('/')[0])),
            // The domain differs by cloud, so the names of zones are expressions.
            .. from zone in deployment.OfType("Microsoft.Network/privateDnsZones")
               where !deployment.OfType("Microsoft.Network/privateDnsZones/virtualNetworkLinks").Any(link => link.Name.Contains(zone.Name.Trim('[', ']'), StringComparison.Ordinal))
               select $"{zone.Name} is not known in the network",
            .. deployment.App.Expect("properties.virtualNetworkSubnetId", $"{network.Id}/subnets/app"),
            .. Rule.Compare(
                "delegations",
                ["Microsoft.App/environments"],
                app.GetProperty("properties").GetProperty("delegations").EnumerateArray().Select(one => one.GetProperty("properties").GetProperty("serviceName").GetString())),
        ];
    }

    /// <summary>What the app asks for goes out to addresses that nobody lists: its group closes nothing that is open by default.</summary>
    public static IEnumerable<string> EverySubnetHasItsSecurityGroup(Prediction deployment)
    {
        var groups = deployment.OfType("Microsoft.Network/networkSecurityGroups").ToDictionary(one => one.Id);
        return
        [
            .. from network in deployment.OfType("Microsoft.Network/virtualNetworks")
               from subnet in network.At("properties.subnets").EnumerateArray()
               where !subnet.GetProperty("properties").TryGetProperty("networkSecurityGroup", out var one) || !groups.ContainsKey(one.GetProperty("id").GetString()!)
               select $"subnet {subnet.GetProperty("name")} has no security group",
            .. from one in groups.Values
               where one.Name.StartsWith("nsg-app-", StringComparison.Ordinal)
               from rule in one.At("properties.securityRules").EnumerateArray()
               select $"{one.Name} has a rule: {rule}",
        ];
    }

    private static bool IsPrivate(Prediction deployment) => deployment.OfType("Microsoft.Network/virtualNetworks").Any();

    private static (string, string) EndOf(PredictedResource endpoint)
    {
        var connection = endpoint.At("properties.privateLinkServiceConnections").EnumerateArray().Single().GetProperty("properties");
        return (connection.GetProperty("privateLinkServiceId").GetString()!, connection.GetProperty("groupIds").EnumerateArray().Single().GetString()!);
    }
}
