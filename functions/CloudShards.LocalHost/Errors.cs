namespace CloudShards.LocalHost;

/// <summary>The words of every failure in this project: what was tried, what was found, what to do.</summary>
internal static class Errors
{
    private const string InstallNode = "Install Node.js 22 from https://nodejs.org, and see that `node` and `npm` are on the PATH.";

    public static AzuriteException InstallationNotFound(string start) => new(
        $"No folder above `{start}` holds `eng/azurite`. Run this program from a clone of the CloudShards repository.");

    public static AzuriteException ProgramNotStarted(string command, Exception inner) => new(
        $"`{command}` could not be started: {inner.Message}. {InstallNode}", inner);

    public static AzuriteException NpmFailed(string folder, int exitCode, string lastLines) => new(
        $"`npm ci` in `{folder}` left Azurite incomplete (exit code {exitCode}). See that the npm registry can be reached, and run the "
        + $"command by hand. {InstallNode} Its last lines:{lastLines}");

    public static AzuriteException AzuriteEnded(string folder, int exitCode, string lastLines) => new(
        $"Azurite ended with exit code {exitCode} before it listened. If its installation is damaged, delete `{folder}/node_modules`: the "
        + $"next start installs it again. {InstallNode} Its last lines:{lastLines}");

    public static AzuriteException AzuriteNotReady(TimeSpan timeout, string lastLines) => new(
        $"Azurite did not listen within {timeout.TotalSeconds:0} s. If the machine is only slow, raise `AzuriteOptions.ReadyTimeout`. "
        + $"Its last lines:{lastLines}");

    public static ArgumentException NoAccount() => new(
        "Exactly one of `--connection-string` and `--account` names the storage account to work on. Give one of them, or neither to start an Azurite.");

    public static string NotSignedIn(string account, string reason) => $"Nobody is signed in who could open the account `{account}`: run `az login`, and try again. ({reason})";

    public static ArgumentException NotAnOption(string argument) => new(
        $"`{argument}` is no option of this program, or its value is missing. `--help` lists the options.");

    public static ArgumentException NotANumber(string option, string text, int least) =>
        new($"`{option}` is `{text}`, expected a whole number from {least} on.");

    public static ArgumentException NotAnAmount(string problem) => new($"`{problem}");
}
