using Azure.Monitor.OpenTelemetry.Exporter;
using CloudShards.Functions;
using CloudShards.Sharding;
using Microsoft.Azure.Functions.Worker.Builder;
using Microsoft.Azure.Functions.Worker.OpenTelemetry;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OpenTelemetry;

var builder = FunctionsApplication.CreateBuilder(args);
builder.Services.AddShardingFunctions(builder.Configuration);
var telemetry = builder.Services.AddOpenTelemetry()
    .UseFunctionsWorkerDefaults()
    .WithTracing(tracing => tracing.AddSource(ShardingTelemetry.Name))
    .WithMetrics(metrics => metrics.AddMeter(ShardingTelemetry.Name));
if (ApplicationInsights.Find(builder.Configuration) is { } insights)
{
    telemetry.UseAzureMonitorExporter(exporter =>
    {
        (exporter.ConnectionString, exporter.Credential) = (insights.ConnectionString, insights.Credential);

        // The alert of failed jobs reads the log, and what it does not see is not told.
        (exporter.SamplingRatio, exporter.TracesPerSecond, exporter.EnableTraceBasedLogsSampler) = (1, null, false);
    });
}

builder.Build().Run();
