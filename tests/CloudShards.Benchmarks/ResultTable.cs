using System.Globalization;
using CloudShards.Benchmarks.Contenders;

namespace CloudShards.Benchmarks;

/// <summary>The table that a contest ends with: medians of the rounds, but the largest peak.</summary>
/// <param name="isReading">Whether bytes that were read in vain are of interest, and not those that were sent.</param>
internal sealed class ResultTable(bool isReading)
{
    private const double Mebi = 1 << 20;
    private const double Gibi = 1 << 30;

    public const string Premise =
        "The memory that is wanted is touched by the program and by the kernel before the clock starts, for every contender, except in rows that say otherwise.";

    public const string Legend = """
        s: median of the rounds. of limit: the first row's median by this row's. MB/s and s/GiB: of what was wanted, or else of what arrived.
        cpu: user and system time of the contender's process. wanted: the memory that is filled. peak: the largest resident set while the clock ran.
        beside: peak without what was wanted; of that, the process itself takes what the row `nothing` shows. grew: peak less the resident set
        when the clock started. over: bytes that arrived and were not wanted.
        """;

    public string Header =>
        $"{"",-46} {"s",8} {"of limit",8} {"spread",13} {"MB/s",6} {"cpu s/GiB",9} {"wanted MiB",10} {"peak MiB",8} {"beside",6} {"grew",6}"
        + $" {"requests",8} {"MB down",8} {(isReading ? "MB over" : "MB up"),8}";

    /// <summary>The lines of contenders that are compared with the first of them.</summary>
    public IEnumerable<string> Lines(IReadOnlyList<(IContender Contender, IReadOnlyList<Measurement> Runs)> heat)
    {
        var limit = Median(heat[0].Runs);
        foreach (var (contender, runs) in heat)
        {
            yield return Line(contender.Name, limit, Median(runs), runs);
            if (runs[0].Note.Length > 0)
            {
                yield return $"  {runs[0].Note}";
            }
        }
    }

    private static Measurement Median(IReadOnlyList<Measurement> runs) => runs.OrderBy(run => run.Seconds).ElementAt(runs.Count / 2);

    private string Line(string name, Measurement limit, Measurement median, IReadOnlyList<Measurement> runs)
    {
        var peak = runs.Max(run => run.PeakBytes);
        var grew = runs.Max(run => run.PeakBytes - run.PreparedBytes);
        var cpu = runs.Select(run => run.CpuSeconds).Order().ElementAt(runs.Count / 2);
        var last = isReading ? Math.Max(0, median.Received - median.WorkBytes) : median.Sent;
        var isWork = median.WorkBytes > 0;
        var ratio = Number(isWork, limit.Seconds / median.Seconds, "N2");
        var rate = Number(isWork, median.WorkBytes / median.Seconds / 1e6, "N0");
        var cost = Number(isWork, cpu / (median.WorkBytes / Gibi), "N2");
        var beside = peak - median.WantedBytes;
        return string.Create(CultureInfo.InvariantCulture, $"{name,-46} {median.Seconds,8:N4} {ratio,8} {runs.Min(run => run.Seconds),6:N3}-{runs.Max(run => run.Seconds),-6:N3}")
            + string.Create(CultureInfo.InvariantCulture, $" {rate,6} {cost,9} {median.WantedBytes / Mebi,10:N0} {peak / Mebi,8:N0} {beside / Mebi,6:N0} {grew / Mebi,6:N0}")
            + string.Create(CultureInfo.InvariantCulture, $" {median.Requests,8:N0} {median.Received / 1e6,8:N1} {last / 1e6,8:N1}");
    }

    private static string Number(bool isGiven, double value, string format) => isGiven ? value.ToString(format, CultureInfo.InvariantCulture) : "-";
}
