using System.CommandLine;
using CloudShards.Benchmarks;

var mebibytes = new Option<int>("--mib") { Description = "Size of the made-up checkpoint, in MiB.", DefaultValueFactory = _ => 1024 };
var tensors = new Option<int>("--tensors") { Description = "Number of its tensors.", DefaultValueFactory = _ => 200 };
var rounds = new Option<int>("--rounds") { Description = "How often each contender runs; the median counts.", DefaultValueFactory = _ => 3 };
var root = new RootCommand("Measures CloudShards beside its limits on the same machine, in the same run, in turns. What counts are the ratios.");
foreach (var contest in Contest.All)
{
    var command = new Command(contest.Name, contest.Description) { mebibytes, tensors, rounds };
    command.SetAction(async (parsed, token) =>
    {
        var model = SyntheticModel.Create((long)parsed.GetValue(mebibytes) << 20, parsed.GetValue(tensors));
        await contest.RunAsync(model, parsed.GetValue(rounds), Console.Out, token);
    });
    root.Add(command);
}

var count = new Option<int>("--tensors") { Description = "Tensors of the made-up checkpoint.", DefaultValueFactory = _ => 232_670 };
var parse = new Command("parse", "The parsers in memory, beside JsonDocument.Parse.") { count, rounds };
parse.SetAction(async (parsed, token) => await Parsing.RunAsync(parsed.GetValue(count), parsed.GetValue(rounds), Console.Out, token));
root.Add(parse);

var contender = new Argument<string>("contender");
var arena = new Argument<string>("arena");
var run = new Command("run", "Runs one contender once, as the contests do in a process of its own.") { contender, arena };
run.Hidden = true;
run.SetAction(async (parsed, token) => await Contest.RunOneAsync(parsed.GetValue(contender)!, parsed.GetValue(arena)!, Console.Out, token));
root.Add(run);
return await root.Parse(args).InvokeAsync();
