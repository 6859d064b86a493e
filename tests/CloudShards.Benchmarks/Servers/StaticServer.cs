using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using CloudShards.Sharding;

namespace CloudShards.Benchmarks.Servers;

/// <summary>
/// nginx with one worker and sendfile, so that what is measured is the reader. It serves a folder on 127.0.0.1, in memory where there is
/// room; server and folder end with the run, however it ends.
/// </summary>
internal sealed class StaticServer : IStorageServer
{
    private const string AccountName = "devstoreaccount1";
    private const string MemoryFolder = "/dev/shm";
    private const int Starts = 5;
    private const int ReadBytes = 1 << 20;
    private static readonly string[] SystemFolders = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];
    private static readonly TimeSpan ReadyPoll = TimeSpan.FromMilliseconds(20);

    // It waits until this process closes its input, or is gone.
    private const string Script = """
        trap '' INT TERM HUP
        "$1" -p "$2" -e error.log -c nginx.conf &
        cat > /dev/null
        kill $! 2> /dev/null
        wait
        rm -rf "$2"
        """;

    private readonly Process _shell;
    private readonly DirectoryInfo _folder;

    private StaticServer(Process shell, DirectoryInfo folder, int port, string place)
    {
        (_shell, _folder) = (shell, folder);
        Account = new(null, new Uri($"http://127.0.0.1:{port}/{AccountName}/"));
        Description = $"nginx, one worker with sendfile, files on {place}";
    }

    public string Description { get; }

    public Account Account { get; }

    /// <summary>Starts nginx and returns once it listens.</summary>
    /// <param name="servedBytes">What it will serve.</param>
    /// <param name="besideBytes">What a contender needs of the machine's memory at the same time.</param>
    /// <param name="cancellationToken">Ends the start.</param>
    /// <exception cref="InvalidOperationException">nginx is missing, or does not start.</exception>
    public static async Task<StaticServer> StartAsync(long servedBytes, long besideBytes, CancellationToken cancellationToken)
    {
        var nginx = Find();
        var parent = HasRoom(servedBytes, besideBytes) ? MemoryFolder : Path.GetTempPath();
        for (var start = 1; ; start++)
        {
            var folder = Directory.CreateDirectory(Path.Combine(parent, $"cloudshards-nginx-{Guid.NewGuid():N}"));
            var port = FreePort();
            WriteConfiguration(folder, port);
            var shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", Script, "nginx", nginx, folder.FullName])
            {
                RedirectStandardInput = true,
            })!;
            var server = new StaticServer(shell, folder, port, parent);
            if (await server.IsReadyAsync(port, cancellationToken))
            {
                return server;
            }

            var log = Path.Combine(folder.FullName, "error.log");
            var error = File.Exists(log) ? await File.ReadAllTextAsync(log, cancellationToken) : "it wrote no log";
            await server.DisposeAsync();

            // Another program may have taken the port meanwhile.
            if (start == Starts)
            {
                throw new InvalidOperationException($"`{nginx}` did not start: {error}");
            }
        }
    }

    public Task<Stream> OpenUploadAsync(string file, CancellationToken cancellationToken)
    {
        var path = Path.Combine(ContainerPath(StorageNames.Uploads), file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        return Task.FromResult<Stream>(File.Create(path, ReadBytes, FileOptions.Asynchronous));
    }

    public Task<IShardStore> OpenStoreAsync(string container, CancellationToken cancellationToken) =>
        Task.FromResult<IShardStore>(new DirectoryShardStore(ContainerPath(container)));

    // On disk, the first reader would wait for what later ones find in the page cache.
    public async Task WarmAsync(CancellationToken cancellationToken)
    {
        foreach (var file in _folder.EnumerateFiles("*", SearchOption.AllDirectories))
        {
            await using var stream = file.OpenRead();
            await stream.CopyToAsync(Stream.Null, ReadBytes, cancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _shell.StandardInput.Close();
        await _shell.WaitForExitAsync();
        _shell.Dispose();
    }

    private string ContainerPath(string container) => Path.Combine(_folder.FullName, "www", AccountName, container);

    private async Task<bool> IsReadyAsync(int port, CancellationToken cancellationToken)
    {
        var log = Path.Combine(_folder.FullName, "nginx.pid");
        while (!_shell.HasExited)
        {
            // The id is written once the port is bound.
            if (File.Exists(log) && new FileInfo(log).Length > 0)
            {
                using var client = new TcpClient();
                await client.ConnectAsync(IPAddress.Loopback, port, cancellationToken);
                return true;
            }

            var error = new FileInfo(Path.Combine(_folder.FullName, "error.log"));
            if (error.Exists && (await File.ReadAllTextAsync(error.FullName, cancellationToken)).Contains("[emerg]", StringComparison.Ordinal))
            {
                return false;
            }

            await Task.Delay(ReadyPoll, cancellationToken);
        }

        return false;
    }

    private static string Find() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Concat(SystemFolders)
            .Where(folder => folder.Length > 0)
            .Select(folder => Path.Combine(folder, "nginx"))
            .FirstOrDefault(File.Exists)
        ?? throw new InvalidOperationException(
            "`nginx` is neither on the PATH nor in /usr/sbin. Install it (Debian, Ubuntu: `apt-get install nginx-light`), or measure against Azurite: `--server azurite`.");

    // Files on tmpfs are memory too, which a contender must not lack.
    private static bool HasRoom(long servedBytes, long besideBytes)
    {
        const long Spare = 2L << 30;
        return Directory.Exists(MemoryFolder)
            && new DriveInfo(MemoryFolder).AvailableFreeSpace > servedBytes
            && AvailableMemory() > servedBytes + besideBytes + Spare;
    }

    private static long AvailableMemory()
    {
        var line = File.ReadLines("/proc/meminfo").First(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    // The pipeline lists the folder of an upload to find sets. There are none: the list is empty.
    private static void WriteConfiguration(DirectoryInfo folder, int port)
    {
        folder.CreateSubdirectory("temp");
        folder.CreateSubdirectory($"www/{AccountName}");
        File.WriteAllText(Path.Combine(folder.FullName, "nginx.conf"), $$"""
            daemon off;
            master_process off;
            worker_processes 1;
            pid nginx.pid;
            error_log error.log;
            events { worker_connections 1024; }
            http {
              access_log off;
              sendfile on; tcp_nopush on; tcp_nodelay on;
              keepalive_timeout 600; keepalive_requests 1000000000;
              default_type application/octet-stream;
              client_body_temp_path temp/body; proxy_temp_path temp/proxy; fastcgi_temp_path temp/fastcgi;
              uwsgi_temp_path temp/uwsgi; scgi_temp_path temp/scgi;
              server {
                listen 127.0.0.1:{{port}};
                root www;
                location = /{{AccountName}}/{{StorageNames.Uploads}} {
                  default_type application/xml;
                  return 200 '<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs/><NextMarker/></EnumerationResults>';
                }
              }
            }
            """);
    }
}
