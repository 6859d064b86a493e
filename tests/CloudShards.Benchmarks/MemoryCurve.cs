using System.Globalization;
using CloudShards.Testing;

namespace CloudShards.Benchmarks;

/// <summary>What a worker's memory and speed are at checkpoints of many sizes, and at one of very many tensors.</summary>
internal static class MemoryCurve
{
    public static readonly int[] Gibibytes = [1, 2, 5, 10];

    public const int Tensors = 300;
    public const int ManyTensors = 232_670;

    private const int ManyMebibytes = 300;

    /// <summary>Measures, and prints each figure when it is there: the largest take minutes.</summary>
    public static async Task RunAsync(IReadOnlyList<int> gibibytes, int tensors, int manyTensors, TextWriter output, CancellationToken cancellationToken)
    {
        var progress = new Progress<string>(output.WriteLine);
        await output.WriteLineAsync("Sharding from Azurite; each row has an emulator and a process of its own. `of loop`: the bare loop's time by this row's.");
        await output.WriteLineAsync($"{"",-34} {"GiB",6} {"tensors",8} {"s",7} {"of loop",7} {"MB/s",6} {"peak MiB",8} {"MB down",9} {"MB up",9}");
        var large = Contests.Named("large");
        foreach (var size in gibibytes)
        {
            var model = SyntheticModel.Create((long)size << 30, tensors);
            var limit = 0.0;
            foreach (var (i, contender) in large.Contenders.Index())
            {
                var measured = await large.RunAloneAsync(i, model, progress, cancellationToken);
                limit = i == 0 ? measured.Seconds : limit;
                await output.WriteLineAsync(Line(contender.Name, model, measured, limit));
            }
        }

        if (manyTensors > 0)
        {
            var many = Contests.Named("many");
            var model = SyntheticModel.Create((long)ManyMebibytes << 20, manyTensors);
            await output.WriteLineAsync(Line(many.Contenders[0].Name, model, await many.RunAloneAsync(0, model, progress, cancellationToken), null));
        }
    }

    private static string Line(string name, SyntheticCheckpoint model, Measurement measured, double? limit) => string.Create(
        CultureInfo.InvariantCulture,
        $"{name,-34} {model.TensorBytes / (double)(1 << 30),6:N1} {model.Tensors.Length,8:N0} {measured.Seconds,7:N1} {limit / measured.Seconds,7:N2}")
        + string.Create(
            CultureInfo.InvariantCulture,
            $" {model.TensorBytes / measured.Seconds / 1e6,6:N0} {measured.PeakBytes >> 20,8:N0} {measured.Received / 1e6,9:N1} {measured.Sent / 1e6,9:N1}");
}
