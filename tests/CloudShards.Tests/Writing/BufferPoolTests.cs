namespace CloudShards.Tests;

public sealed class BufferPoolTests
{
    [Fact]
    public async Task ABufferThatCannotBeMadeIsNotMissedAfterwards()
    {
        var pool = new BufferPool(int.MaxValue, 1);
        for (var i = 0; i < 2; i++)
        {
            await Assert.ThrowsAsync<OutOfMemoryException>(async () => await pool.RentAsync(TestContext.Current.CancellationToken));
        }
    }
}
