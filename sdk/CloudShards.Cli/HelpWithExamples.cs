using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace CloudShards.Cli;

/// <summary>The usual help, and examples below it.</summary>
internal sealed class HelpWithExamples(HelpAction help) : SynchronousCommandLineAction
{
    private const string Examples = """
        Examples:
          cloudshards inspect model.safetensors                     a tree of modules with their tensors
          cloudshards inspect llama-3-8b/                           the checkpoint in a folder, of one file or of many
          cloudshards inspect --json checkpoint.pt                  for programs
          cloudshards inspect --digests model.pt                    with the SHA-256 of each tensor, for which the whole file is read
          cloudshards inspect "https://ACCOUNT.blob.core.windows.net/checkpoints/model.safetensors"

        Of checkpoints that are sharded, with S=https://ACCOUNT.blob.core.windows.net/shards:
          cloudshards list $S llama-3-8b:prod                       its tensors, from its manifest
          cloudshards verify $S llama-3-8b:prod                     reads all of it and compares every SHA-256
          cloudshards tag $S llama-3-8b:prod                        which version it is, since when and by what
          cloudshards tag $S llama-3-8b:prod sha256:…               makes it another one, or again an earlier one

        Exit codes: 0 done, 1 not found, not permitted or damaged, 2 the file is refused, 130 interrupted.

        """;

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        var code = help.Invoke(parseResult);
        parseResult.InvocationConfiguration.Output.WriteLine(Examples);
        return code;
    }
}
