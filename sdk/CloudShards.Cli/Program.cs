using System.Text;
using CloudShards.Cli;

// Console.Out writes through at every line; a checkpoint may have hundreds of thousands.
const int OutputBytes = 64 << 10;
await using var output = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), OutputBytes);
var terminal = Console.IsErrorRedirected ? null : Console.Error;
return await CommandLine.RunAsync(args, output, Console.Error, terminal, CancellationToken.None);
