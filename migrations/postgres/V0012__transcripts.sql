-- What was asked and answered, word by word, where `store_prompts_in_spend_logs` is on. `id` is that of the row in
-- `spend_logs`, without a reference: both go at their own time. Texts are JSON, and plain text to the database.

CREATE TABLE trunkline.transcripts (
    day     date NOT NULL, -- of the id, in UTC
    id      text COLLATE "C" NOT NULL,
    request text NOT NULL,
    answer  text,
    PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);

-- Days get partitions as those of `spend_logs` do.
CREATE TABLE trunkline.transcripts_default PARTITION OF trunkline.transcripts DEFAULT;
