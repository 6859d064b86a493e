using System.CommandLine;
using CloudShards.Chaos;

var kills = new Option<int>("--kills") { Description = "How many workers are killed.", DefaultValueFactory = _ => 50 };
var seed = new Option<int>("--seed") { Description = "Another run.", DefaultValueFactory = _ => 1 };
var workers = new Option<int>("--workers") { Description = "How many run at once.", DefaultValueFactory = _ => 3 };
var root = new RootCommand("Kills workers at random while they shard, and checks that nobody can tell afterwards.") { kills, seed, workers };
root.SetAction(async (parsed, token) =>
{
    var report = await ChaosRun.RunAsync(
        new(parsed.GetValue(seed), parsed.GetValue(kills), parsed.GetValue(workers)), line => Console.WriteLine(line), token);
    Console.WriteLine(report);
    return report.Problems is [] ? 0 : 1;
});
return await root.Parse(args).InvokeAsync();
