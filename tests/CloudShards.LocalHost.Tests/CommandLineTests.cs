namespace CloudShards.LocalHost.Tests;

public sealed class CommandLineTests
{
    [Fact]
    public void BatchesAndPacksAreBoundedAsTheOptionsSay()
    {
        var sharding = CommandLine.Parse(["--batch-shards", "3", "--packed-bytes", "0"]).Options.Sharding;

        Assert.Equal((3, 0), (sharding.MaxBatchShards, sharding.MaxPackedBytes));
        Assert.Equal(2048, CommandLine.Parse(["--packed-bytes", "2048"]).Options.Sharding.MaxPackedBytes);
    }

    [Theory]
    [InlineData("--batch-shards", "0", "`--batch-shards` is `0`, expected a whole number from 1 on.")]
    [InlineData("--packed-bytes", "-1", "`--packed-bytes` is `-1`, expected a whole number from 0 on.")]
    [InlineData("--packed-bytes", "few", "`--packed-bytes` is `few`, expected a whole number from 0 on.")]
    [InlineData("--packed-bytes", "65537", "`MaxPackedBytes` is 65537; it is 0 to 65536 (64 KiB).")]
    [InlineData("--packed-shards", "1", "`--packed-shards` is no option of this program, or its value is missing. `--help` lists the options.")]
    public void WhatCannotBeUsedIsSaidSo(string option, string value, string message) =>
        Assert.Equal(message, Assert.Throws<ArgumentException>(() => CommandLine.Parse([option, value])).Message);
}
