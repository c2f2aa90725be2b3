"""What every case uses: brokers, programs, the registry of cases."""
