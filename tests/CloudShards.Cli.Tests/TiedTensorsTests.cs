using CloudShards.Formats;

namespace CloudShards.Cli.Tests;

public sealed class TiedTensorsTests
{
    private static readonly ByteRange TorchStorage = new(1000, 96);

    [Fact]
    public void EqualViewsAreTheSameAsTheFirst()
    {
        var shared = TiedTensors.Of([View([4, 6], [6, 1]), View([4, 6], [6, 1]), View([4, 6], [6, 1])]);

        Assert.Equal([0, 0, 0], shared.SameAs);
    }

    [Fact]
    public void OverlappingViewsMeetTheFirstInTheCheckpointsOrder()
    {
        var shared = TiedTensors.Of([View([2, 6], [6, 1], first: 12), View([4, 6], [6, 1]), View([6, 4], [1, 6])]);

        Assert.Equal([0, 1, 2], shared.SameAs);
        Assert.Equal([0, 0, 0], shared.Meets);
    }

    [Fact]
    public void NeighboursInOneTorchStorageDoNotMeet()
    {
        var shared = TiedTensors.Of([View([2, 6], [6, 1]), View([2, 6], [6, 1], first: 12)]);

        Assert.Equal([0, 1], shared.Meets);
    }

    [Fact]
    public void ViewsThatOneBetweenThemConnectsMeet()
    {
        var shared = TiedTensors.Of([View([10], [1]), View([10], [1], first: 14), View([10], [1], first: 8)]);

        Assert.Equal([0, 0, 0], shared.Meets);
    }

    [Fact]
    public void EqualPlacesInTwoFilesHaveNothingInCommon()
    {
        var shared = TiedTensors.Of([View([4, 6], [6, 1]), View([4, 6], [6, 1]) with { File = 1 }]);

        Assert.Equal([0, 1], shared.SameAs);
        Assert.Equal([0, 1], shared.Meets);
    }

    [Fact]
    public void TensorsWithoutElementsMeetNothing()
    {
        var shared = TiedTensors.Of([View([4, 6], [6, 1]), View([0, 6], [6, 1])]);

        Assert.Equal([0, 1], shared.Meets);
    }

    private static TensorInfo View(TensorShape shape, long[] strides, long first = 0) =>
        new("t", TensorDType.F32, shape, new() { Extent = TorchStorage, ElementOffset = first, Strides = [.. strides] });
}
