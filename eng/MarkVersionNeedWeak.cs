using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// A build task that copies a 64-bit little-endian ELF library and marks one of the symbol versions that it needs as weak, so that
/// the loader accepts a system without that version. Only right where no relocation refers to a symbol of that version. A library
/// that does not need the version is copied as it is.
/// </summary>
/// <remarks>Layouts are those of the ELF-64 object file format and, for versions, of the Linux Standard Base, chapter 10.7.</remarks>
public sealed class MarkVersionNeedWeak : Task
{
    private const int HeaderBytes = 64;
    private const int Magic = 0x464c457f; // 0x7f, `ELF`
    private const byte Class64 = 2; // ELFCLASS64
    private const byte LittleEndian = 1; // ELFDATA2LSB
    private const int VersionNeedSection = 0x6ffffffe; // SHT_GNU_verneed
    private const byte WeakFlag = 2; // VER_FLG_WEAK

    /// <summary>The library to copy.</summary>
    [Required]
    public string Library { get; set; }

    /// <summary>The version's name, as in <c>GLIBCXX_3.4.32</c>.</summary>
    [Required]
    public string Version { get; set; }

    /// <summary>Where the copy goes.</summary>
    [Required]
    public string PatchedLibrary { get; set; }

    public override bool Execute()
    {
        var image = File.ReadAllBytes(Library);
        if (image.Length < HeaderBytes || Word(image, 0) != Magic || image[4] != Class64 || image[5] != LittleEndian)
        {
            Log.LogError($"`{Library}` is not a 64-bit little-endian ELF library. Restore the packages again.");
            return false;
        }

        var sections = (int)BitConverter.ToUInt64(image, 0x28);
        var sectionBytes = BitConverter.ToUInt16(image, 0x3a);
        var sectionCount = BitConverter.ToUInt16(image, 0x3c);
        for (var i = 0; i < sectionCount; i++)
        {
            var section = sections + (i * sectionBytes);
            if (Word(image, section + 4) == VersionNeedSection)
            {
                var names = sections + (Word(image, section + 0x28) * sectionBytes);
                MarkWeak(image, FileOffset(image, section), FileOffset(image, names));
            }
        }

        Directory.CreateDirectory(Path.GetDirectoryName(PatchedLibrary));
        File.WriteAllBytes(PatchedLibrary, image);
        return true;
    }

    // Each file needed (Elf64_Verneed) leads to a chain of the versions needed of it (Elf64_Vernaux).
    private void MarkWeak(byte[] image, int needs, int names)
    {
        foreach (var need in Chain(image, needs))
        {
            foreach (var version in Chain(image, need + Word(image, need + 8)))
            {
                if (TextAt(image, names + Word(image, version + 8)) == Version)
                {
                    image[version + 4] |= WeakFlag;
                    Log.LogMessage($"`{PatchedLibrary}` needs {Version} weakly.");
                }
            }
        }
    }

    // Entries of both kinds end with the distance to the next of their chain, 0 in the last.
    private static IEnumerable<int> Chain(byte[] image, int entry)
    {
        int distance;
        do
        {
            yield return entry;
            distance = Word(image, entry + 12);
            entry += distance;
        }
        while (distance != 0);
    }

    private static int FileOffset(byte[] image, int section) => (int)BitConverter.ToUInt64(image, section + 0x18);

    private static int Word(byte[] image, int offset) => (int)BitConverter.ToUInt32(image, offset);

    private static string TextAt(byte[] image, int start) =>
        Encoding.ASCII.GetString(image, start, Array.IndexOf(image, (byte)0, start) - start);
}
