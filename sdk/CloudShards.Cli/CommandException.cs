namespace CloudShards.Cli;

/// <summary>What was asked for cannot be done. The message, for people, says why and what to do.</summary>
internal sealed class CommandException(string message, Exception? innerException = null) : Exception(message, innerException);
