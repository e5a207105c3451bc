/* SPDX-License-Identifier: MIT */
/*
 * export_pprof.c: a gzipped profile.proto (pprof.proto) for pprof, Pyroscope and Parca: a sample
 * for each thread, stack, access and source. Addresses are those of the files' own numbering, and a
 * mapping is a file from its address 0, so that one profile can hold several processes.
 *
 * A profile is written piece by piece: protobuf joins the repeated fields of messages that stand
 * one behind the other, so that no more than one sample need be in memory in that form.
 */
#include "code_names.h"
#include "command.h"
#include "export_sums.h"
#include "export_text.h"
#include "gzip_buffer.h"
#include "pprof.pb-c.h"
#include "string_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAPPING_UNIT 4096u

typedef Perftools__Profiles__Profile profile_message;
typedef Perftools__Profiles__Sample sample_message;
typedef Perftools__Profiles__Label label_message;
typedef Perftools__Profiles__ValueType value_type_message;
typedef Perftools__Profiles__Mapping mapping_message;
typedef Perftools__Profiles__Location location_message;
typedef Perftools__Profiles__Line line_message;
typedef Perftools__Profiles__Function function_message;

struct pprof {
	const struct export_job *export;
	struct export_sums sums;
	int64_t duration_ns;
	struct string_table strings;
	struct gzip_buffer buffer;
	int result; /* of what has been written: 0 or -ENOMEM */
};

static void *start(const struct export_job *export)
{
	struct pprof *pprof = calloc(1, sizeof(*pprof));
	if (!pprof)
		return NULL;
	pprof->export = export;
	pprof->sums.by_access_and_source = true;
	return pprof;
}

static int take(void *state, const struct trace_event *event)
{
	struct pprof *pprof = state;
	if (event->time_ns > pprof->duration_ns)
		pprof->duration_ns = event->time_ns;
	return export_sums_take(&pprof->sums, event);
}

/* The text's place in the string table; 0, with pprof->result set, without memory. */
static int64_t string_of(struct pprof *pprof, const char *text)
{
	int64_t place = string_table_add(&pprof->strings, text);
	if (place >= 0)
		return place;
	pprof->result = -ENOMEM;
	return 0;
}

static void write_piece(struct pprof *pprof, const profile_message *piece)
{
	protobuf_c_message_pack_to_buffer(&piece->base, &pprof->buffer.base);
}

static void write_head(struct pprof *pprof)
{
	const struct trace_session *session = trace_session_of(pprof->export->trace);
	profile_message head = PERFTOOLS__PROFILES__PROFILE__INIT;
	value_type_message types[EXPORT_VALUE_COUNT], *type_list[EXPORT_VALUE_COUNT], period_type;
	for (unsigned i = 0; i < EXPORT_VALUE_COUNT; i++) {
		perftools__profiles__value_type__init(&types[i]);
		types[i].type = string_of(pprof, export_value_names[i]);
		types[i].unit = string_of(pprof, export_value_units[i]);
		type_list[i] = &types[i];
	}
	perftools__profiles__value_type__init(&period_type);
	period_type = types[0];
	int64_t comments[] = {
	    string_of(pprof, "faultline " FAULTLINE_VERSION),
	    string_of(pprof, session->command),
	};
	head.n_sample_type = EXPORT_VALUE_COUNT;
	head.sample_type = type_list;
	head.time_nanos = export_start_time(session);
	head.duration_nanos = pprof->duration_ns;
	head.period_type = &period_type;
	head.period = 1;
	head.n_comment = sizeof(comments) / sizeof(comments[0]);
	head.comment = comments;
	head.default_sample_type = string_of(pprof, export_value_names[EXPORT_TOUCHED]);
	write_piece(pprof, &head);
}

/* Adds a label; those of empty texts are left out. */
static void add_label(
    struct pprof *pprof, sample_message *sample, const char *key, const char *text)
{
	label_message *label = sample->label[sample->n_label];
	if (text[0] == '\0')
		return;
	perftools__profiles__label__init(label);
	label->key = string_of(pprof, key);
	label->str = string_of(pprof, text);
	sample->n_label++;
}

/* 0 or -ENOMEM. */
static int write_sample(struct pprof *pprof, const struct export_sum *sum)
{
	label_message labels[3], *label_list[3] = {&labels[0], &labels[1], &labels[2]};
	int64_t values[EXPORT_VALUE_COUNT];
	char name[EXPORT_NAME_SIZE];
	size_t count;
	sample_message sample = PERFTOOLS__PROFILES__SAMPLE__INIT, *sample_list[] = {&sample};
	profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;
	const struct code_frame *const *frames =
	    code_names_stack(pprof->export->names, sum->stack, &count);
	uint64_t *locations = frames ? reallocarray(NULL, count, sizeof(*locations)) : NULL;
	if (!locations)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		locations[i] = frames[count - 1 - i]->index + 1;
	for (unsigned i = 0; i < EXPORT_VALUE_COUNT; i++)
		values[i] = (int64_t)sum->values[i];
	sample.n_location_id = count;
	sample.location_id = locations;
	sample.n_value = EXPORT_VALUE_COUNT;
	sample.value = values;
	sample.label = label_list;
	if (sum->thread)
		add_label(pprof, &sample, "thread", export_thread_name(sum->thread, name));
	add_label(pprof, &sample, "access", fault_access_words[sum->access]);
	add_label(pprof, &sample, "source", sum->source);
	piece.n_sample = 1;
	piece.sample = sample_list;
	write_piece(pprof, &piece);
	free(locations);
	return 0;
}

static void write_function(struct pprof *pprof, const struct code_function *function)
{
	function_message message = PERFTOOLS__PROFILES__FUNCTION__INIT, *list[] = {&message};
	profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;
	message.id = function->index + 1;
	message.name = string_of(pprof, function->name);
	message.system_name =
	    string_of(pprof, function->symbol ? function->symbol : function->name);
	message.filename = string_of(pprof, function->file ? function->file : "");
	piece.n_function = 1;
	piece.function = list;
	write_piece(pprof, &piece);
}

/* Code of a file that has no name there gets no line: others may know its name by the address. */
static int write_location(struct pprof *pprof, const struct code_frame *frame)
{
	location_message message = PERFTOOLS__PROFILES__LOCATION__INIT, *list[] = {&message};
	profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;
	const struct trace_file *file = frame->frame ? frame->frame->file : NULL;
	line_message *lines = reallocarray(NULL, frame->line_count, sizeof(*lines));
	line_message **line_list = reallocarray(NULL, frame->line_count, sizeof(*line_list));
	int result = lines && line_list ? 0 : -ENOMEM;
	if (result < 0)
		goto out;
	for (unsigned i = 0; i < frame->line_count; i++) {
		perftools__profiles__line__init(&lines[i]);
		lines[i].function_id = frame->lines[i].function->index + 1;
		lines[i].line = frame->lines[i].line;
		line_list[i] = &lines[i];
	}
	message.id = frame->index + 1;
	message.mapping_id = file ? file->index + 1 : 0;
	message.address = file ? frame->frame->offset : 0;
	message.n_line = file && !frame->frame->symbol ? 0 : frame->line_count;
	message.line = line_list;
	piece.n_location = 1;
	piece.location = list;
	write_piece(pprof, &piece);
out:
	free(lines);
	free(line_list);
	return result;
}

/* What is known of a file by the frames in it. */
struct file_facts {
	const struct trace_file *file; /* NULL: no frame lies in it */
	uint64_t last;		       /* address */
	bool lacks_name, lacks_source, has_inlined;
};

/* The facts by the index of the file; NULL without memory. The caller frees them. */
static struct file_facts *gather_facts(const struct code_names *names, uint32_t file_count)
{
	struct file_facts *facts = calloc((size_t)file_count + 1, sizeof(*facts));
	for (uint32_t i = 0; facts && i < code_names_frame_count(names); i++) {
		const struct code_frame *frame = code_names_frame_at(names, i);
		if (!frame->frame || !frame->frame->file)
			continue;
		struct file_facts *fact = &facts[frame->frame->file->index];
		fact->file = frame->frame->file;
		if (frame->frame->offset > fact->last)
			fact->last = frame->frame->offset;
		if (!frame->frame->symbol)
			fact->lacks_name = true;
		if (frame->lines[0].line == 0)
			fact->lacks_source = true;
		if (frame->line_count > 1)
			fact->has_inlined = true;
	}
	return facts;
}

static void write_mapping(struct pprof *pprof, const struct file_facts *facts)
{
	mapping_message message = PERFTOOLS__PROFILES__MAPPING__INIT, *list[] = {&message};
	profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;
	message.id = facts->file->index + 1;
	message.memory_limit = facts->last - facts->last % MAPPING_UNIT;
	if (message.memory_limit <= UINT64_MAX - MAPPING_UNIT)
		message.memory_limit += MAPPING_UNIT;
	message.filename = string_of(pprof, facts->file->path);
	message.build_id = string_of(pprof, facts->file->build_id);
	message.has_functions = !facts->lacks_name;
	message.has_filenames = message.has_line_numbers = !facts->lacks_source;
	message.has_inline_frames = facts->has_inlined;
	piece.n_mapping = 1;
	piece.mapping = list;
	write_piece(pprof, &piece);
}

/* The program's own file comes first, as readers expect. */
static int write_mappings(struct pprof *pprof)
{
	const struct trace *trace = pprof->export->trace;
	uint32_t count = trace_file_count(trace);
	struct file_facts *facts = gather_facts(pprof->export->names, count);
	const char *program = trace_process_count(trace) > 0 ? trace_process_at(trace, 0)->exe : "";
	if (!facts)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		if (facts[i].file && strcmp(facts[i].file->path, program) == 0)
			write_mapping(pprof, &facts[i]);
	for (uint32_t i = 0; i < count; i++)
		if (facts[i].file && strcmp(facts[i].file->path, program) != 0)
			write_mapping(pprof, &facts[i]);
	free(facts);
	return 0;
}

/* Protobuf's strings have to be UTF-8. */
static int write_strings(struct pprof *pprof)
{
	for (size_t i = 0; i < pprof->strings.count; i++) {
		profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		char *text = export_plain_text(pprof->strings.texts[i]);
		if (!text)
			return -ENOMEM;
		piece.n_string_table = 1;
		piece.string_table = &text;
		write_piece(pprof, &piece);
		free(text);
	}
	return 0;
}

static int write_all(struct pprof *pprof)
{
	const struct code_names *names = pprof->export->names;
	int result = 0;
	string_of(pprof, ""); /* place 0 */
	write_head(pprof);
	for (const struct export_sum *sum = pprof->sums.first; sum && result == 0; sum = sum->next)
		result = write_sample(pprof, sum);
	for (uint32_t i = 0; result == 0 && i < code_names_frame_count(names); i++)
		result = write_location(pprof, code_names_frame_at(names, i));
	if (result == 0)
		result = write_mappings(pprof);
	for (uint32_t i = 0; i < code_names_function_count(names); i++)
		write_function(pprof, code_names_function_at(names, i));
	if (result == 0)
		result = write_strings(pprof);
	return result < 0 ? result : pprof->result;
}

static int finish(void *state)
{
	struct pprof *pprof = state;
	int result = gzip_buffer_start(&pprof->buffer, pprof->export->out);
	if (result < 0)
		return result;
	result = write_all(pprof);
	gzip_buffer_finish(&pprof->buffer);
	return result;
}

static void destroy(void *state)
{
	struct pprof *pprof = state;
	export_sums_clear(&pprof->sums);
	string_table_clear(&pprof->strings);
	free(pprof);
}

const struct export_format pprof_format = {
    .name = "pprof",
    .summary = "gzipped profile.proto for pprof, Pyroscope, Parca",
    .is_binary = true,
    .start = start,
    .take = take,
    .finish = finish,
    .destroy = destroy,
};
