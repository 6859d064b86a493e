using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace CloudShards.EndToEnd.Tests;

/// <summary>What a host logs.</summary>
internal sealed class LogRecorder : ILoggerProvider, ILogger
{
    private readonly ConcurrentQueue<(LogLevel Level, string Message)> _entries = [];

    /// <summary>What was logged from a level on, oldest first.</summary>
    public IReadOnlyList<string> From(LogLevel level) => [.. _entries.Where(entry => entry.Level >= level).Select(entry => entry.Message)];

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _entries.Enqueue((logLevel, formatter(state, exception)));

    public void Dispose()
    {
    }
}
