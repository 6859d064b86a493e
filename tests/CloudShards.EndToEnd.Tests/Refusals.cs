using CloudShards.Formats;

namespace CloudShards.EndToEnd.Tests;

/// <summary>The files of the corpus that are refused, those among them that a sidecar leaves to the reader, and what for.</summary>
internal static class Refusals
{
    // `bad_first_byte.safetensors` could also be TorchSharp's, with 56 tensors without a name, and is refused as that. `name_collision.pt` is good for
    // PyTorch: its keys are one name only once they are joined.
    private static readonly Dictionary<CheckpointError, string[]> ByCause = new()
    {
        [CheckpointError.NotACheckpoint] =
        [
            "bad_count.ts.dat", "bad_header_len_max.safetensors", "bad_leb.ts.dat", "bad_ndim.ts.dat", "bad_shape.ts.dat", "bad_tiny.safetensors",
            "evil_bare.pkl", "evil_magic_evaluated.pt", "html.bin", "legacy_bad_magic.pt", "legacy_bad_proto.pt", "random.bin", "single.ts.dat",
            "text.pt", "torchsharp_tensor.dat", "truncated.ts.dat", "truncated_0_bytes.pt", "truncated_1_byte.pt", "zip_no_pkl.pt",
            "zip_prefixed_junk.pt",
        ],
        [CheckpointError.Unsupported] =
        [
            "corrupt_pickle_proto_9.pt", "legacy_big_endian.pt", "meta_tensor.pt", "plain_deflated.pt", "raw_storage.pt", "zip_bomb_pickle.pt",
            "zip_encrypted_flag.pt",
        ],
        [CheckpointError.Truncated] =
        [
            "bad_header_past_end.safetensors", "bad_short.safetensors", "bomb_binunicode8.pt", "corrupt_pickle_empty.pt", "corrupt_pickle_no_stop.pt",
            "truncated.safetensors", "truncated_half.pt", "truncated_in_cd.pt", "truncated_legacy_half.pt", "truncated_legacy_in_pickle.pt",
            "truncated_legacy_last_byte.pt", "truncated_no_eocd.pt", "truncated_sig_only.pt",
        ],
        [CheckpointError.Malformed] =
        [
            "bad_float_shape.safetensors", "bad_json.safetensors", "bad_metadata_value.safetensors", "bad_negative.safetensors",
            "bad_nested.safetensors", "bad_shape_negative.safetensors", "bad_trailing.safetensors", "bad_utf8.safetensors", "bomb_bytearray.pt",
            "byteorder_bad.pt", "corrupt_pickle_bad_memo.pt", "corrupt_pickle_bad_op.pt", "corrupt_pickle_mark_missing.pt",
            "corrupt_pickle_setitem_on_tensor.pt", "corrupt_pickle_setitems_odd.pt", "corrupt_pickle_underflow.pt", "corrupt_pickle_unhashable_key.pt",
            "evil_codecs.pt", "legacy_bad_dup_key.pt", "legacy_bad_missing_key.pt", "legacy_bad_unknown_key.pt", "legacy_trailing.pt",
            "zip_appended_junk.pt", "zip_csize_past_end.pt", "zip_duplicate_data.pt", "zip_duplicate_pkl.pt", "zip_eocd_in_comment.pt",
            "zip_lho_past_end.pt", "zip_many_entries_claim.pt", "zip_name_differs.pt", "zip_no_prefix.pt", "zip_overlapping.pt", "zip_traversal.pt",
            "zip_two_prefixes.pt",
        ],
        [CheckpointError.Forbidden] =
        [
            "evil_build_setstate.pt", "evil_dotted_global.pt", "evil_eval.pt", "evil_eval_legacy.pt", "evil_exec.pt", "evil_exec_legacy.pt",
            "evil_ext_registry.pt", "evil_global_only.pt", "evil_hooks.pt", "evil_import.pt", "evil_import_legacy.pt", "evil_legacy_keys.pt",
            "evil_legacy_opcode_inst.pt", "evil_legacy_sys_info.pt", "evil_obj_opcode.pt", "evil_os_system.pt", "evil_os_system_legacy.pt",
            "evil_persid_text.pt", "evil_reduce_on_memoised.pt", "evil_stack_global.pt", "evil_stack_global_memo.pt", "evil_subprocess.pt",
            "evil_subprocess_legacy.pt",
        ],
        [CheckpointError.BadTensor] =
        [
            "bad_dtype.safetensors", "bad_hole.safetensors", "bad_overlap.safetensors", "bad_reversed.safetensors", "bad_shape_overflow.safetensors",
            "bad_size_mismatch.safetensors", "geometry_key_traversal.pt", "geometry_missing_record.pt", "geometry_negative_offset.pt",
            "geometry_negative_size.pt", "geometry_negative_stride.pt", "geometry_numel_huge.pt", "geometry_numel_lies.pt",
            "geometry_numel_negative.pt", "geometry_offset_overflow.pt", "geometry_oob_offset.pt", "geometry_oob_stride.pt",
            "geometry_rank_mismatch.pt", "geometry_size_is_text.pt", "geometry_size_overflow.pt", "geometry_stride_overflow.pt",
            "geometry_unknown_storage.pt", "legacy_bad_count.pt", "legacy_bad_count_huge.pt", "legacy_bad_count_negative.pt", "zip_bomb_deflate.pt",
            "zip_usize_lies.pt",
        ],
        [CheckpointError.BadName] =
        [
            "bad_duplicate.safetensors", "bad_duplicate_escaped.safetensors", "bad_first_byte.safetensors", "duplicate_dict_key.pt",
            "name_collision.pt", "nonstring_keys.pt", "surrogate_key.pt",
        ],
        [CheckpointError.LimitExceeded] =
        [
            "bad_header_too_long.safetensors", "bomb_deep.pt", "bomb_lol.pt", "bomb_long.pt", "bomb_tuple_deep.pt", "geometry_expand_bomb.pt",
            "geometry_rank_huge.pt",
        ],
    };

    public static IEnumerable<(string File, CheckpointError Cause)> All => ByCause.SelectMany(group => group.Value.Select(file => (file, group.Key)));
}
