package millrace.reference;

import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;

/** Runs a file of SQL as one job: statements that stand apart by a line of "--", all INSERTs together. */
public class Reference {
  public static void main(String[] arguments) throws Exception {
    StreamTableEnvironment tables = StreamTableEnvironment.create(StreamExecutionEnvironment.getExecutionEnvironment());
    tables.createTemporarySystemFunction("decode_event", Decode.class);
    StatementSet inserts = tables.createStatementSet();
    for (String statement : Files.readString(Path.of(arguments[0])).split("\n--\n")) {
      if (statement.strip().startsWith("INSERT")) {
        inserts.addInsertSql(statement);
      } else {
        tables.executeSql(statement);
      }
    }
    inserts.execute();
  }
}
