using CloudShards.Sharding;

namespace CloudShards.Infra.Tests.Rules;

internal static class EventRules
{
    public static IEnumerable<string> UploadsAndNothingElseBecomeMessages(Prediction deployment)
    {
        var subscription = deployment.EventSubscription;
        return
        [
            .. deployment.OfType("Microsoft.EventGrid/systemTopics").Single().Expect("properties.source", deployment.Data.Id),
            .. subscription.Expect("properties.eventDeliverySchema", "CloudEventSchemaV1_0"),
            .. subscription.Expect("properties.filter.subjectBeginsWith", $"/blobServices/default/containers/{StorageNames.Uploads}/blobs/"),
            .. Rule.Compare(
                "events",
                ["Microsoft.Storage.BlobCreated"],
                subscription.At("properties.filter.includedEventTypes").EnumerateArray().Select(type => type.GetString())),
        ];
    }

    public static IEnumerable<string> EventsAreDeliveredByTheTopicsOwnIdentity(Prediction deployment)
    {
        const string Delivery = "properties.deliveryWithResourceIdentity";
        var subscription = deployment.EventSubscription;
        return
        [
            .. deployment.OfType("Microsoft.EventGrid/systemTopics").Single().Expect("identity.type", "SystemAssigned"),
            .. subscription.Expect("properties.destination", null),
            .. subscription.Expect($"{Delivery}.identity.type", "SystemAssigned"),
            .. subscription.Expect($"{Delivery}.destination.endpointType", "StorageQueue"),
            .. subscription.Expect($"{Delivery}.destination.properties.resourceId", deployment.Data.Id),
            .. subscription.Expect($"{Delivery}.destination.properties.queueName", StorageNames.Events),
            .. subscription.Expect($"{Delivery}.destination.properties.queueMessageTimeToLiveInSeconds", "604800"),
        ];
    }

    public static IEnumerable<string> WhatCannotBeDeliveredIsKept(Prediction deployment)
    {
        const string DeadLetters = "properties.deadLetterWithResourceIdentity";
        var subscription = deployment.EventSubscription;
        return
        [
            .. subscription.Expect("properties.deadLetterDestination", null),
            .. subscription.Expect($"{DeadLetters}.identity.type", "SystemAssigned"),
            .. subscription.Expect($"{DeadLetters}.deadLetterDestination.properties.resourceId", deployment.Data.Id),
            .. subscription.Expect($"{DeadLetters}.deadLetterDestination.properties.blobContainerName", StorageRules.DeadLetters),
        ];
    }
}
