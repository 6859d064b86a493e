using System.Runtime.CompilerServices;

namespace CloudShards.Cli.Tests;

/// <summary>The servers of these tests are on 127.0.0.1; a proxy that the machine has for others is not to be asked for them.</summary>
internal static class NoProxy
{
    [ModuleInitializer]
    internal static void Set() => Environment.SetEnvironmentVariable("NO_PROXY", "127.0.0.1");
}
