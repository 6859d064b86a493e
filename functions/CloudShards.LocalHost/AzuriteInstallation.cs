using System.Text.Json;

namespace CloudShards.LocalHost;

/// <summary>Azurite as <c>eng/azurite</c> in the repository pins it, installed there by npm.</summary>
public sealed class AzuriteInstallation
{
    private const string LockName = ".install.lock";

    // Windows starts a .cmd only by its full name.
    private static readonly string Npm = OperatingSystem.IsWindows() ? "npm.cmd" : "npm";

    private readonly string _npm;

    internal AzuriteInstallation(string folder, string? npm = null)
    {
        Folder = folder;
        _npm = npm ?? Npm;
    }

    /// <summary>The folder with <c>package.json</c>.</summary>
    public string Folder { get; }

    /// <summary>Whether npm has finished here, and with the version that <c>package.json</c> names.</summary>
    public bool IsComplete => File.Exists(Path.Combine(Folder, "node_modules", ".package-lock.json")) && InstalledVersion == PinnedVersion;

    private string? PinnedVersion => ReadText(Path.Combine(Folder, "package.json"), "dependencies", "azurite");

    private string? InstalledVersion => ReadText(Path.Combine(Folder, "node_modules", "azurite", "package.json"), "version");

    /// <summary>Finds the repository's <c>eng/azurite</c>, looking upwards from the running program's folder.</summary>
    /// <exception cref="AzuriteException">The program does not run from a clone of the repository.</exception>
    public static AzuriteInstallation Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var candidate = Path.Combine(folder.FullName, "eng", "azurite");
            if (File.Exists(Path.Combine(candidate, "package.json")))
            {
                return new(candidate);
            }
        }

        throw Errors.InstallationNotFound(AppContext.BaseDirectory);
    }

    /// <summary>Installs what is missing. Of several programs that ask at once, one installs and the others wait for it.</summary>
    /// <exception cref="AzuriteException">npm is missing or has failed.</exception>
    public async Task CompleteAsync(IProgress<string>? progress = null, CancellationToken cancellationToken = default)
    {
        if (IsComplete)
        {
            return;
        }

        await using var turn = await WaitForTurnAsync(progress, cancellationToken);
        if (!IsComplete)
        {
            await RunNpmAsync(progress, cancellationToken);
        }
    }

    private async Task RunNpmAsync(IProgress<string>? progress, CancellationToken cancellationToken)
    {
        progress?.Report($"Installing Azurite {PinnedVersion} into `{Folder}`: once in a clone, about 130 MB, half a minute.");
        await using var npm = ChildProcess.Start(_npm, ["ci"], Folder);
        npm.CloseInput();
        var exitCode = await npm.Ended.WaitAsync(cancellationToken);
        if (exitCode != 0 || !IsComplete)
        {
            throw Errors.NpmFailed(Folder, exitCode, npm.LastLines);
        }
    }

    // No system has an asynchronous wait for a file's lock, so it is tried until its holder is done. The file itself stays: a lock on
    // a file that is then deleted would lock nobody out.
    private async Task<FileStream> WaitForTurnAsync(IProgress<string>? progress, CancellationToken cancellationToken)
    {
        using var retry = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        for (var reported = false; ; reported = true)
        {
            try
            {
                return new(Path.Combine(Folder, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException exception) when (IsHeldElsewhere(exception))
            {
                if (!reported)
                {
                    progress?.Report($"Waiting for another program to install Azurite into `{Folder}`.");
                }
            }

            await retry.WaitForNextTickAsync(cancellationToken);
        }
    }

    // EAGAIN of Linux and of macOS, and ERROR_SHARING_VIOLATION: .NET gives the system's number and no type of its own.
    private static bool IsHeldElsewhere(IOException exception) => exception.HResult is 11 or 35 or unchecked((int)0x80070020);

    private static string? ReadText(string file, params ReadOnlySpan<string> path)
    {
        if (!File.Exists(file))
        {
            return null;
        }

        using var document = JsonDocument.Parse(File.ReadAllBytes(file));
        var value = document.RootElement;
        foreach (var key in path)
        {
            value = value.GetProperty(key);
        }

        return value.GetString();
    }
}
