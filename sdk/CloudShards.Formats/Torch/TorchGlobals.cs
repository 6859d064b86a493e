using System.Collections.Frozen;

namespace CloudShards.Formats.Torch;

/// <summary>
/// The one table of names that mean something in a checkpoint's pickle. Every other name is inert, or refused where its module could run
/// code: a file that calls such a thing was made to attack, or cannot be loaded safely anywhere.
/// </summary>
internal static class TorchGlobals
{
    private const int MaxNameLength = 1024;

    private static readonly FrozenDictionary<string, TorchGlobal> Known = Table().ToFrozenDictionary(StringComparer.Ordinal);

    private static readonly FrozenDictionary<string, TensorDType> DTypes = new Dictionary<string, TensorDType>
    {
        ["float64"] = TensorDType.F64,
        ["double"] = TensorDType.F64,
        ["float32"] = TensorDType.F32,
        ["float"] = TensorDType.F32,
        ["float16"] = TensorDType.F16,
        ["half"] = TensorDType.F16,
        ["bfloat16"] = TensorDType.BF16,
        ["int64"] = TensorDType.I64,
        ["long"] = TensorDType.I64,
        ["int32"] = TensorDType.I32,
        ["int"] = TensorDType.I32,
        ["int16"] = TensorDType.I16,
        ["short"] = TensorDType.I16,
        ["int8"] = TensorDType.I8,
        ["uint8"] = TensorDType.U8,
        ["uint16"] = TensorDType.U16,
        ["uint32"] = TensorDType.U32,
        ["uint64"] = TensorDType.U64,
        ["bool"] = TensorDType.Bool,
        ["complex32"] = TensorDType.C32,
        ["complex64"] = TensorDType.C64,
        ["cfloat"] = TensorDType.C64,
        ["complex128"] = TensorDType.C128,
        ["cdouble"] = TensorDType.C128,
        ["float8_e4m3fn"] = TensorDType.F8E4M3,
        ["float8_e4m3fnuz"] = TensorDType.F8E4M3Fnuz,
        ["float8_e5m2"] = TensorDType.F8E5M2,
        ["float8_e5m2fnuz"] = TensorDType.F8E5M2Fnuz,
        ["float8_e8m0fnu"] = TensorDType.F8E8M0,
    }.ToFrozenDictionary(StringComparer.Ordinal);

    private static readonly FrozenDictionary<string, StorageType> StorageClasses = new Dictionary<string, StorageType>
    {
        ["UntypedStorage"] = new(null),
        ["QInt8Storage"] = new(TensorDType.I8, IsQuantised: true),
        ["QUInt8Storage"] = new(TensorDType.U8, IsQuantised: true),
        ["QInt32Storage"] = new(TensorDType.I32, IsQuantised: true),
        ["DoubleStorage"] = new(TensorDType.F64),
        ["FloatStorage"] = new(TensorDType.F32),
        ["HalfStorage"] = new(TensorDType.F16),
        ["BFloat16Storage"] = new(TensorDType.BF16),
        ["LongStorage"] = new(TensorDType.I64),
        ["IntStorage"] = new(TensorDType.I32),
        ["ShortStorage"] = new(TensorDType.I16),
        ["CharStorage"] = new(TensorDType.I8),
        ["ByteStorage"] = new(TensorDType.U8),
        ["BoolStorage"] = new(TensorDType.Bool),
        ["ComplexFloatStorage"] = new(TensorDType.C64),
        ["ComplexDoubleStorage"] = new(TensorDType.C128),
    }.ToFrozenDictionary(StringComparer.Ordinal);

    // Modules in which a call may run code, and the few names of Python's builtins that only make data.
    private static readonly FrozenSet<string> DangerousModules = FrozenSet.Create(
        StringComparer.Ordinal,
        "os", "posix", "nt", "sys", "subprocess", "importlib", "imp", "runpy", "pty", "commands", "socket", "ctypes", "shutil", "code", "codeop",
        "pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "operator", "_operator", "webbrowser", "timeit", "cProfile",
        "profile", "pdb", "bdb", "trace", "asyncio", "multiprocessing", "linecache", "pydoc", "requests", "urllib", "urllib2", "httplib", "ftplib",
        "smtplib", "ssl", "pip", "venv", "idlelib", "lib2to3", "ensurepip", "distutils", "atexit", "builtins", "__builtin__");

    private static readonly FrozenSet<string> HarmlessBuiltins = FrozenSet.Create(
        StringComparer.Ordinal,
        "set", "frozenset", "bytearray", "bytes", "complex", "dict", "list", "tuple", "bool", "int", "float", "str", "object", "slice", "range",
        "long", "unicode");

    /// <summary>Lets a name pass that is known or inert.</summary>
    /// <exception cref="CheckpointFormatException">Its module could run code.</exception>
    public static PickleGlobal Admit(PickleGlobal global, long offset)
    {
        // Names are compared each time they are called, so that a long one would cost as often.
        if (global.Module.Length + global.Name.Length > MaxNameLength)
        {
            throw Errors.BadPickle($"a class or function with a name of {global.Module.Length + global.Name.Length} characters", offset);
        }

        var root = global.Module.Split('.')[0];
        var forbidden = root is "builtins" or "__builtin__" ? !HarmlessBuiltins.Contains(global.Name) : DangerousModules.Contains(root);

        // Protocol 4 resolves a dotted name attribute by attribute, from a harmless module to whatever that has imported.
        var path = global.Name.Split('.')[..^1];
        var reaches = path.Length > 0 && (root is "torch" or "collections" or "numpy" or "_codecs" || path.Any(DangerousModules.Contains));
        return forbidden || reaches ? throw Errors.ForbiddenGlobal(global.FullName, offset) : global;
    }

    /// <summary>What a name stands for.</summary>
    public static TorchGlobal Meaning(PickleGlobal global) => Known.GetValueOrDefault(global.FullName);

    /// <summary>The dtype that a name such as <c>torch.float8_e4m3fn</c> stands for.</summary>
    public static bool TryGetDType(PickleGlobal global, out TensorDType dtype)
    {
        dtype = default;
        return global.Module == "torch" && DTypes.TryGetValue(global.Name, out dtype);
    }

    /// <summary>
    /// What a storage class says. The module does not count as long as it is PyTorch's: files name <c>torch.FloatStorage</c>,
    /// <c>torch.cuda.FloatStorage</c> and others alike.
    /// </summary>
    public static bool TryGetStorageType(PickleGlobal global, out StorageType type)
    {
        type = default;
        return (global.Module == "torch" || global.Module.StartsWith("torch.", StringComparison.Ordinal)) && StorageClasses.TryGetValue(global.Name, out type);
    }

    private static Dictionary<string, TorchGlobal> Table()
    {
        var table = new Dictionary<string, TorchGlobal>
        {
            ["collections.OrderedDict"] = TorchGlobal.Dict,
            ["collections.Counter"] = TorchGlobal.Dict,
            ["collections.defaultdict"] = TorchGlobal.DefaultDict,
            ["torch.Size"] = TorchGlobal.Tuple,
            ["torch.device"] = TorchGlobal.Device,
            ["_codecs.encode"] = TorchGlobal.Encode,
            ["torch._utils._rebuild_tensor"] = TorchGlobal.RebuildTensor,
            ["torch._utils._rebuild_tensor_v2"] = TorchGlobal.RebuildTensor,
            ["torch._utils._rebuild_tensor_v3"] = TorchGlobal.RebuildTensorV3,
            ["torch._utils._rebuild_parameter"] = TorchGlobal.RebuildParameter,
            ["torch._utils._rebuild_parameter_with_state"] = TorchGlobal.RebuildParameter,
            ["torch._tensor._rebuild_from_type"] = TorchGlobal.RebuildFromType,
            ["torch._tensor._rebuild_from_type_v2"] = TorchGlobal.RebuildFromType,
            ["torch.tensor._rebuild_from_type"] = TorchGlobal.RebuildFromType,
            ["torch.nn.parameter.Parameter"] = TorchGlobal.RebuildParameter,
            ["torch._utils._rebuild_qtensor"] = TorchGlobal.RebuildQuantised,
            ["torch._utils._rebuild_sparse_tensor"] = TorchGlobal.RebuildSparse,
            ["torch._utils._rebuild_sparse_csr_tensor"] = TorchGlobal.RebuildSparse,
            ["torch.serialization._get_layout"] = TorchGlobal.Layout,
            ["torch.jit._pickle.build_intlist"] = TorchGlobal.List,
            ["torch.jit._pickle.build_doublelist"] = TorchGlobal.List,
            ["torch.jit._pickle.build_boollist"] = TorchGlobal.List,
            ["torch.jit._pickle.build_tensorlist"] = TorchGlobal.List,
            ["torch.jit._pickle.restore_type_tag"] = TorchGlobal.TypeTag,
            ["torch._utils._rebuild_meta_tensor_no_storage"] = TorchGlobal.Meta,
            ["torch._utils._rebuild_wrapper_subclass"] = TorchGlobal.Foreign,
            ["torch._utils._rebuild_nested_tensor"] = TorchGlobal.Foreign,
            ["torch._utils._rebuild_device_tensor_from_numpy"] = TorchGlobal.Foreign,
            ["torch._utils._rebuild_device_tensor_from_cpu_tensor"] = TorchGlobal.Foreign,
        };
        foreach (var builtins in (ReadOnlySpan<string>)["builtins", "__builtin__"])
        {
            table[$"{builtins}.dict"] = TorchGlobal.Dict;
            table[$"{builtins}.set"] = TorchGlobal.Set;
            table[$"{builtins}.frozenset"] = TorchGlobal.Set;
            table[$"{builtins}.list"] = TorchGlobal.List;
            table[$"{builtins}.tuple"] = TorchGlobal.Tuple;
            table[$"{builtins}.bytearray"] = TorchGlobal.ByteArray;
            table[$"{builtins}.complex"] = TorchGlobal.Complex;
        }

        return table;
    }
}

/// <summary>What calling a known name makes.</summary>
internal enum TorchGlobal
{
    /// <summary>The name is not in the table: an inert record.</summary>
    Unknown,
    Dict,
    DefaultDict,
    Set,
    List,
    Tuple,
    ByteArray,
    Complex,
    Encode,
    Device,

    /// <summary>(storage, offset, size, stride, …).</summary>
    RebuildTensor,

    /// <summary>(storage, offset, size, stride, requires_grad, hooks, dtype[, metadata]).</summary>
    RebuildTensorV3,

    /// <summary>(data, requires_grad, hooks[, state]).</summary>
    RebuildParameter,

    /// <summary>(function, type, arguments, state).</summary>
    RebuildFromType,

    /// <summary>(storage, offset, size, stride, (scheme, scale, zero_point[, axis]), requires_grad, hooks).</summary>
    RebuildQuantised,

    /// <summary>(layout, (indices…, values, size[, is_coalesced])).</summary>
    RebuildSparse,

    /// <summary>(name): the name of a layout.</summary>
    Layout,

    /// <summary>(value, type): the value.</summary>
    TypeTag,
    Meta,

    /// <summary>Tensors whose bytes are not a TorchStorage's.</summary>
    Foreign,
}
