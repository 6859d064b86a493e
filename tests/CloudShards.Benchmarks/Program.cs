using System.CommandLine;
using CloudShards.Benchmarks;

var rounds = new Option<int>("--rounds") { Description = "How often each contender runs; the median counts.", DefaultValueFactory = _ => 3 };
var server = new Option<string>("--server")
{
    Description = "What is read from: `nginx`, which is no bottleneck, or `azurite`.",
    DefaultValueFactory = _ => "nginx",
};
server.AcceptOnlyFromAmong("nginx", "azurite");
var root = new RootCommand("Measures CloudShards beside its limits on the same machine, in the same run, in turns. What counts are the ratios.");
foreach (var contest in Contests.All)
{
    var mebibytes = new Option<int>("--mib") { Description = "Size of the made-up checkpoint, in MiB.", DefaultValueFactory = _ => contest.Mebibytes ?? 0 };
    var tensors = new Option<int>("--tensors") { Description = "Number of its tensors.", DefaultValueFactory = _ => contest.Tensors };
    var command = new Command(contest.Name, contest.Description) { tensors, rounds };
    foreach (var option in new Option[] { mebibytes, server }.Where(option => option == server ? contest.IsReading : contest.Mebibytes is not null))
    {
        command.Add(option);
    }

    command.SetAction(async (parsed, token) =>
    {
        var model = contest.Model((contest.Mebibytes is null ? 0L : parsed.GetValue(mebibytes)) << 20, parsed.GetValue(tensors));
        var isStatic = contest.IsReading && parsed.GetValue(server) == "nginx";
        await contest.RunAsync(model, parsed.GetValue(rounds), isStatic, Console.Out, token);
    });
    root.Add(command);
}

var count = new Option<int>("--tensors") { Description = "Tensors of the made-up checkpoint.", DefaultValueFactory = _ => 232_670 };
var parse = new Command("parse", "The parsers in memory, beside JsonDocument.Parse.") { count, rounds };
parse.SetAction(async (parsed, token) => await Parsing.RunAsync(parsed.GetValue(count), parsed.GetValue(rounds), Console.Out, token));
root.Add(parse);

var sizes = new Option<int[]>("--gib")
{
    Description = "Sizes of the made-up checkpoints, in GiB.",
    DefaultValueFactory = _ => MemoryCurve.Gibibytes,
    AllowMultipleArgumentsPerToken = true,
};
var perSize = new Option<int>("--tensors") { Description = "Tensors of each.", DefaultValueFactory = _ => MemoryCurve.Tensors };
var many = new Option<int>("--many") { Description = "Tensors of the one that has many; 0 for none.", DefaultValueFactory = _ => MemoryCurve.ManyTensors };
var curve = new Command("curve", "The memory of a worker by the size of the checkpoint. 10 GiB take 21 GiB of disk for a while.") { sizes, perSize, many };
curve.SetAction(async (parsed, token) => await MemoryCurve.RunAsync(parsed.GetValue(sizes)!, parsed.GetValue(perSize), parsed.GetValue(many), Console.Out, token));
root.Add(curve);

var name = new Argument<string>("contest");
var contender = new Argument<int>("contender");
var arena = new Argument<string>("arena");
var run = new Command("run", "Runs one contender once, as the contests do in a process of its own.") { name, contender, arena };
run.Hidden = true;
run.SetAction(async (parsed, token) =>
{
    await ContenderProcess.RunAsync(
        Contests.Named(parsed.GetValue(name)!), parsed.GetValue(contender), Arena.Parse(parsed.GetValue(arena)!), Console.Out, token);
});
root.Add(run);
return await root.Parse(args).InvokeAsync();
